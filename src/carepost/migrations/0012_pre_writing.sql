-- What those who write keep: signatures and templates, how long they may undo, and that Send was pressed once.

-- Words put under or into a message. The organisation's own have every version kept; a mailbox's only the newest.
CREATE TABLE wording (
    organisation_id  bigint      NOT NULL REFERENCES organisation,
    id               bigint      NOT NULL,
    version          integer     NOT NULL DEFAULT 1 CHECK (version > 0),
    kind             text        NOT NULL CHECK (kind IN ('signature', 'template')),
    -- Whose: null for the organisation's.
    mailbox_id       bigint,
    is_current       boolean     NOT NULL DEFAULT true,
    -- R164: people may add lines of their own to the organisation's signature.
    allows_own       boolean     NOT NULL DEFAULT true,
    -- Name and text, sealed to the organisation.
    sealed           bytea       NOT NULL,
    changed_by       bigint,
    changed_at       timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, id, version),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox,
    FOREIGN KEY (organisation_id, changed_by) REFERENCES person
);
CREATE INDEX wording_by_owner ON wording (organisation_id, mailbox_id, kind) WHERE is_current;
-- One signature for a mailbox, one for the organisation.
CREATE UNIQUE INDEX wording_one_signature ON wording (organisation_id, (coalesce(mailbox_id, 0)))
 WHERE is_current AND kind = 'signature';

-- R148: how long a person wants to be able to undo.
CREATE TABLE writing_choice (
    organisation_id  bigint   NOT NULL,
    person_id        bigint   NOT NULL,
    undo_seconds     smallint NOT NULL CHECK (undo_seconds BETWEEN 0 AND 3600),
    PRIMARY KEY (organisation_id, person_id),
    FOREIGN KEY (organisation_id, person_id) REFERENCES person
);

-- A form of a new message was sent by this press: the second press of the same form sends nothing.
CREATE TABLE outgoing_press (
    organisation_id  bigint      NOT NULL REFERENCES organisation,
    -- A hash of the form's number and the mailbox.
    token            bytea       NOT NULL CHECK (length(token) = 16),
    at               timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, token)
);
CREATE INDEX outgoing_press_by_time ON outgoing_press (organisation_id, at);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['wording', 'writing_choice', 'outgoing_press'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

GRANT SELECT, INSERT, DELETE ON wording, outgoing_press TO carepost_app;
GRANT UPDATE (is_current) ON wording TO carepost_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON writing_choice TO carepost_app;
