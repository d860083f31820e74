-- Mail that goes out: what was handed in, for whom, by which route, what its sender was asked, and what became of it.
-- Addresses, subjects and reasons are sealed to the organisation; what stands in clear is ids, states, cards and times.

-- One row for each message that was handed in and not refused.
CREATE TABLE outgoing (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    -- What the sender was told, what `carepost why` finds again, and what its copies in our mailboxes carry.
    trace           text        NOT NULL CHECK (length(trace) BETWEEN 1 AND 64),
    -- The mailbox that it is sent as, and who did it (R82): the person is NULL where the service itself writes.
    mailbox_id      bigint      NOT NULL,
    person_id       bigint,
    door            text        NOT NULL CHECK (door IN ('web', 'submission', 'system', 'portal')),
    -- asked: waits for its sender's answers. waiting: for its time. Then it is released or cancelled, once.
    state           text        NOT NULL CHECK (state IN ('asked', 'waiting', 'released', 'cancelled')),
    submitted_at    timestamptz NOT NULL,
    release_at      timestamptz NOT NULL,
    settled_at      timestamptz,
    reminded_at     timestamptz,
    size            integer     NOT NULL CHECK (size >= 0),
    -- The message with its Bcc: the very object of the Sent copy. The key is sealed to the organisation's intake; it is
    -- destroyed when nobody can need the message from here any more.
    object_id       bytea       CHECK (length(object_id) = 16),
    wrapped         bytea,
    -- Addresses, subject, options: sealed to the organisation's intake key.
    details         bytea       NOT NULL,
    PRIMARY KEY (organisation_id, id),
    UNIQUE (organisation_id, trace),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox,
    FOREIGN KEY (organisation_id, object_id) REFERENCES object,
    CONSTRAINT outgoing_settled CHECK ((state IN ('released', 'cancelled')) = (settled_at IS NOT NULL)),
    CONSTRAINT outgoing_key CHECK ((object_id IS NULL) = (wrapped IS NULL)),
    CONSTRAINT outgoing_body CHECK (state IN ('released', 'cancelled') OR object_id IS NOT NULL)
);
ALTER TABLE outgoing ALTER COLUMN details SET STORAGE EXTERNAL;
CREATE INDEX outgoing_of_mailbox ON outgoing (organisation_id, mailbox_id, id DESC);
CREATE INDEX outgoing_asked ON outgoing (organisation_id, submitted_at) WHERE state = 'asked';
CREATE INDEX outgoing_by_time ON outgoing (organisation_id, submitted_at);
CREATE INDEX outgoing_object ON outgoing (organisation_id, object_id) WHERE object_id IS NOT NULL;

-- Each recipient of it: by which route, and what became of that copy (R165).
CREATE TABLE outgoing_recipient (
    organisation_id      bigint      NOT NULL,
    outgoing_id          bigint      NOT NULL,
    seq                  smallint    NOT NULL CHECK (seq >= 0),
    route                text        NOT NULL CHECK (route IN ('inside', 'relay', 'portal', 'hold', 'refuse')),
    state                text        NOT NULL,
    card                 text,
    card_version         text,
    unsure               boolean     NOT NULL,
    -- The least protection that a hop must have, for those that go over the wire.
    least                text        CHECK (least IN ('opportunistic', 'encrypted', 'verified', 'dane')),
    -- Whose mailbox, for those inside.
    mailbox_id           bigint,
    mailbox_organisation bigint,
    -- The address as a keyed hash (edge key), to find it again without opening every row.
    token                bytea       NOT NULL CHECK (length(token) = 16),
    changed_at           timestamptz NOT NULL,
    delayed_at           timestamptz,
    noticed_at           timestamptz,
    opened_at            timestamptz,
    -- Somebody has seen that it did not arrive, and taken it off the tray.
    cleared_at           timestamptz,
    -- The address, what it asked of reports, why this route; and later how it ended: sealed to the organisation's intake.
    details              bytea       NOT NULL,
    outcome              bytea,
    PRIMARY KEY (organisation_id, outgoing_id, seq),
    FOREIGN KEY (organisation_id, outgoing_id) REFERENCES outgoing ON DELETE CASCADE,
    CONSTRAINT outgoing_recipient_state CHECK (state IN ('waiting', 'held', 'queued', 'delivered', 'relayed', 'noticed',
        'opened', 'failed', 'expired', 'cancelled', 'revoked', 'refused')),
    CONSTRAINT outgoing_recipient_card CHECK ((card IS NULL) = (card_version IS NULL)),
    CONSTRAINT outgoing_recipient_inside CHECK ((mailbox_id IS NULL) = (mailbox_organisation IS NULL))
);
CREATE INDEX outgoing_recipient_tray ON outgoing_recipient (organisation_id, outgoing_id)
 WHERE state IN ('failed', 'expired', 'refused') AND cleared_at IS NULL;
CREATE INDEX outgoing_recipient_held ON outgoing_recipient (organisation_id, changed_at) WHERE state = 'held';
CREATE INDEX outgoing_recipient_token ON outgoing_recipient (organisation_id, token);

-- What its sender was asked, and what they answered.
CREATE TABLE outgoing_question (
    organisation_id bigint      NOT NULL,
    outgoing_id     bigint      NOT NULL,
    number          smallint    NOT NULL CHECK (number >= 0),
    card            text        NOT NULL,
    card_version    text        NOT NULL,
    unsure          boolean     NOT NULL,
    asked_at        timestamptz NOT NULL,
    answered_at     timestamptz,
    answered_by     bigint,
    choice          text        CHECK (choice IN ('confirm', 'reason', 'bcc', 'individually', 'portal', 'leave-out')),
    -- The question in words, with the recipients it is about; and the reason that was given: sealed.
    details         bytea       NOT NULL,
    reason          bytea,
    PRIMARY KEY (organisation_id, outgoing_id, number),
    FOREIGN KEY (organisation_id, outgoing_id) REFERENCES outgoing ON DELETE CASCADE,
    CONSTRAINT outgoing_question_answered CHECK ((answered_at IS NULL) = (choice IS NULL))
);

-- What is due when, of all organisations: the worker that releases must find it before it can act for anybody, so exempt
-- from tenancy: numbers and times only.
CREATE TABLE outgoing_due (
    -- Not called organisation_id: it names the tenant, it does not make the row a tenant's.
    owner_organisation bigint      NOT NULL,
    outgoing_id        bigint      NOT NULL,
    due_at             timestamptz NOT NULL,
    -- A worker has it in hand until then; after a crash another takes it.
    claimed_until      timestamptz,
    tries              integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (owner_organisation, outgoing_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX outgoing_due_next ON outgoing_due (due_at);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['outgoing', 'outgoing_recipient', 'outgoing_question'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

GRANT SELECT, INSERT, DELETE ON outgoing, outgoing_recipient, outgoing_question TO carepost_app;
GRANT UPDATE (state, release_at, settled_at, reminded_at, object_id, wrapped, details) ON outgoing TO carepost_app;
GRANT UPDATE (route, state, least, mailbox_id, mailbox_organisation, changed_at, delayed_at, noticed_at, opened_at,
              cleared_at, outcome)
   ON outgoing_recipient TO carepost_app;
GRANT UPDATE (answered_at, answered_by, choice, reason) ON outgoing_question TO carepost_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON outgoing_due TO carepost_app;
