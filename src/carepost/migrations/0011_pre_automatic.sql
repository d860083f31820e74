-- What a mailbox does by itself: automatic replies (R60, R163) and forwarding (R162), and what has arrived for either.

-- The automatic reply of a mailbox, if it was ever set.
CREATE TABLE autoreply (
    organisation_id bigint      NOT NULL,
    mailbox_id      bigint      NOT NULL,
    is_on           boolean     NOT NULL,
    starts_at       timestamptz,
    ends_at         timestamptz,
    changed_at      timestamptz NOT NULL,
    -- Its texts, telephone number and choices: sealed to the organisation.
    details         bytea       NOT NULL,
    PRIMARY KEY (organisation_id, mailbox_id),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox,
    CONSTRAINT autoreply_times CHECK (starts_at IS NULL OR ends_at IS NULL OR starts_at < ends_at)
);

-- Who was answered automatically and when, as a keyed hash of the address: nobody is answered twice in a day.
CREATE TABLE autoreply_told (
    organisation_id bigint      NOT NULL,
    mailbox_id      bigint      NOT NULL,
    token           bytea       NOT NULL CHECK (length(token) = 16),
    told_at         timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, mailbox_id, token),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox
);
CREATE INDEX autoreply_told_by_time ON autoreply_told (organisation_id, told_at);

-- A mailbox's mail, or a copy of it, sent on: asked for by its people, allowed by an administrator.
CREATE TABLE forwarding (
    organisation_id bigint      NOT NULL,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    mailbox_id      bigint      NOT NULL,
    state           text        NOT NULL CHECK (state IN ('asked', 'allowed', 'refused', 'ended', 'stopped')),
    asked_at        timestamptz NOT NULL,
    asked_by        bigint,     -- NULL: at the command line
    decided_at      timestamptz,
    ended_at        timestamptz,
    expires_at      timestamptz,
    -- When its people were last told that something could not be sent on.
    told_at         timestamptz,
    -- The address, and why: sealed to the organisation.
    details         bytea       NOT NULL,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox,
    CONSTRAINT forwarding_allowed CHECK (state <> 'allowed' OR (decided_at IS NOT NULL AND expires_at IS NOT NULL)),
    CONSTRAINT forwarding_ended CHECK ((state IN ('refused', 'ended', 'stopped')) = (ended_at IS NOT NULL))
);
-- One at a time for a mailbox.
CREATE UNIQUE INDEX forwarding_open ON forwarding (organisation_id, mailbox_id) WHERE state IN ('asked', 'allowed');

-- Which delivery of the queue is a forwarding's: to tell its people when it does not arrive.
CREATE TABLE forwarded (
    organisation_id bigint      NOT NULL,
    delivery_id     bigint      NOT NULL,
    forwarding_id   bigint      NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, delivery_id),
    FOREIGN KEY (organisation_id, forwarding_id) REFERENCES forwarding
);
CREATE INDEX forwarded_by_time ON forwarded (organisation_id, at);

-- Mail that has arrived in a mailbox that answers or forwards by itself, of all organisations: the worker must find it
-- before it can act for anybody, so exempt from tenancy: numbers and times only.
CREATE TABLE arrival (
    id                 bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Not called organisation_id: it names the tenant, it does not make the row a tenant's.
    owner_organisation bigint      NOT NULL,
    mailbox_id         bigint      NOT NULL,
    trace              text        NOT NULL CHECK (length(trace) BETWEEN 1 AND 64),
    -- Its author's address was proved, or it is from one of our own people.
    proved             boolean     NOT NULL,
    -- A card warns of it.
    warned             boolean     NOT NULL,
    due_at             timestamptz NOT NULL,
    -- A worker has it in hand until then; after a crash another takes it.
    claimed_until      timestamptz,
    tries              integer     NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX arrival_due ON arrival (due_at);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['autoreply', 'autoreply_told', 'forwarding', 'forwarded'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON autoreply, autoreply_told, forwarded, arrival TO carepost_app;
GRANT SELECT, INSERT ON forwarding TO carepost_app;
GRANT UPDATE (state, decided_at, ended_at, expires_at, told_at, details) ON forwarding TO carepost_app;
-- Whether a mailbox does something by itself, and the mark that something has come for it: no text, no address.
GRANT SELECT (organisation_id, mailbox_id, is_on, starts_at, ends_at) ON autoreply TO carepost_relay;
GRANT SELECT (organisation_id, mailbox_id, state, expires_at) ON forwarding TO carepost_relay;
GRANT INSERT (owner_organisation, mailbox_id, trace, proved, warned, due_at) ON arrival TO carepost_relay;
