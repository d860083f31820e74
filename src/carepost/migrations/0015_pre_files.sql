-- Files too large for email: kept here in sealed pieces, read by a link (R127).

CREATE TABLE large_file (
    organisation_id  bigint      NOT NULL REFERENCES organisation,
    id               bigint      GENERATED ALWAYS AS IDENTITY,
    -- In its address; found by whoever may have it.
    name             bytea       NOT NULL CHECK (length(name) = 16),
    -- Who sends it.
    mailbox_id       bigint      NOT NULL,
    -- coming: being uploaded. whole: all of it is here. ready: looked at, may be sent. refused: may not.
    state            text        NOT NULL CHECK (state IN ('coming', 'whole', 'ready', 'refused')),
    size             bigint      NOT NULL CHECK (size > 0),
    received         bigint      NOT NULL DEFAULT 0 CHECK (received BETWEEN 0 AND size),
    piece_octets     integer     NOT NULL CHECK (piece_octets > 0),
    -- Its name as people know it, kind, key, digest, what was found: sealed to the organisation.
    sealed           bytea       NOT NULL,
    made_at          timestamptz NOT NULL,
    touched_at       timestamptz NOT NULL,
    -- Somebody looks at it until then, or has died.
    looked_until     timestamptz,
    expires_at       timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, id),
    UNIQUE (organisation_id, name),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox
);
CREATE INDEX large_file_by_mailbox ON large_file (organisation_id, mailbox_id);
CREATE INDEX large_file_by_end ON large_file (organisation_id, expires_at);

CREATE TABLE large_file_piece (
    organisation_id  bigint  NOT NULL,
    file_id          bigint  NOT NULL,
    number           integer NOT NULL CHECK (number >= 0),
    sealed           bytea   NOT NULL,
    PRIMARY KEY (organisation_id, file_id, number),
    FOREIGN KEY (organisation_id, file_id) REFERENCES large_file ON DELETE CASCADE
);
-- What is sealed does not become smaller.
ALTER TABLE large_file_piece ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- Which messages carry it. No foreign key: the message's record and the file end at times of their own.
CREATE TABLE large_file_use (
    organisation_id  bigint NOT NULL,
    outgoing_id      bigint NOT NULL,
    file_id          bigint NOT NULL,
    PRIMARY KEY (organisation_id, outgoing_id, file_id),
    FOREIGN KEY (organisation_id, file_id) REFERENCES large_file ON DELETE CASCADE
);
CREATE INDEX large_file_use_by_file ON large_file_use (organisation_id, file_id);

-- Which mailboxes here may have a file, of their own organisation or another one of ours.
CREATE TABLE large_file_share (
    organisation_id     bigint      NOT NULL REFERENCES organisation,
    mailbox_id          bigint      NOT NULL,
    name                bytea       NOT NULL CHECK (length(name) = 16),
    owner_organisation  bigint      NOT NULL,
    outgoing_id         bigint      NOT NULL,
    given_at            timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, mailbox_id, name, outgoing_id),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox
);
CREATE INDEX large_file_share_by_name ON large_file_share (organisation_id, name);
CREATE INDEX large_file_share_by_end ON large_file_share (organisation_id, expires_at);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['large_file', 'large_file_piece', 'large_file_use', 'large_file_share'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

GRANT SELECT, INSERT, DELETE ON large_file, large_file_piece, large_file_use, large_file_share TO carepost_app;
GRANT UPDATE (state, received, sealed, touched_at, looked_until, expires_at) ON large_file TO carepost_app;
GRANT UPDATE (expires_at) ON large_file_share TO carepost_app;
