
-- == gateway ==
-- What was decided about each message and why, and what is held. Names, addresses and sentences are sealed to the organisation.

-- One row for each message and organisation it was for: refused ones too.
CREATE TABLE verdict (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    -- What the sender was told in the 250, and what `carepost why` finds again.
    trace           text        NOT NULL CHECK (length(trace) BETWEEN 1 AND 64),
    at              timestamptz NOT NULL,
    door            text        NOT NULL CHECK (door IN ('smtp', 'lmtp', 'scan', 'append')),
    size            integer     NOT NULL CHECK (size >= 0),
    -- What the checks found, by code: in clear, so that it can be counted.
    codes           text[]      NOT NULL,
    -- Sender, recipients, client, findings as sentences, facts: sealed to the organisation's intake key.
    details         bytea       NOT NULL,
    PRIMARY KEY (organisation_id, trace)
);
CREATE INDEX verdict_newest ON verdict (organisation_id, at DESC, trace);
ALTER TABLE verdict ALTER COLUMN details SET STORAGE EXTERNAL;

-- What became of each recipient's copy, and which card said so.
CREATE TABLE verdict_recipient (
    organisation_id bigint   NOT NULL,
    trace           text     NOT NULL,
    -- The order of the RCPT commands; leads to the address in the sealed details.
    number          smallint NOT NULL CHECK (number >= 0),
    mailbox_id      bigint   NOT NULL,
    -- What the deck said, and what was done: SMTP has one answer for all, so a refusal may become a hold.
    decided         text     NOT NULL,
    action          text     NOT NULL,
    -- No card applied: NULL, and the deck's own default was taken.
    card            text,
    card_version    text,
    -- The card could not be judged because a fact could not be found out.
    unsure          boolean  NOT NULL,
    PRIMARY KEY (organisation_id, trace, number),
    FOREIGN KEY (organisation_id, trace) REFERENCES verdict ON DELETE CASCADE,
    CONSTRAINT verdict_recipient_decided CHECK (decided IN ('deliver it', 'deliver it with a warning',
        'deliver it to junk', 'hold it for a person to look at', 'refuse it')),
    CONSTRAINT verdict_recipient_action CHECK (action IN ('deliver it', 'deliver it with a warning',
        'deliver it to junk', 'hold it for a person to look at', 'refuse it')),
    CONSTRAINT verdict_recipient_version CHECK ((card IS NULL) = (card_version IS NULL))
);

-- How a message is found again without keeping its addresses: keyed hashes (edge key) of sender, recipient, Message-ID.
CREATE TABLE verdict_token (
    organisation_id bigint      NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('sender', 'recipient', 'message-id')),
    token           bytea       NOT NULL CHECK (length(token) = 16),
    at              timestamptz NOT NULL,
    trace           text        NOT NULL,
    PRIMARY KEY (organisation_id, token, kind, trace),
    FOREIGN KEY (organisation_id, trace) REFERENCES verdict ON DELETE CASCADE
);
CREATE INDEX verdict_token_of_verdict ON verdict_token (organisation_id, trace);

-- Quarantine: a message that is in no mailbox until somebody releases it.
CREATE TABLE held_message (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    trace           text        NOT NULL,
    -- NULL once it was deleted or has expired, and when everybody it was for has it.
    object_id       bytea       CHECK (length(object_id) = 16),
    -- The object's key, sealed to the organisation's intake: the role that holds mail back cannot open it.
    wrapped         bytea,
    size            integer     NOT NULL CHECK (size >= 0),
    held_at         timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL CHECK (expires_at > held_at),
    -- R136: what is of low risk may be let through by its recipients, the rest by administrators only.
    risk            text        NOT NULL CHECK (risk IN ('low', 'high')),
    card            text        NOT NULL,
    card_version    text        NOT NULL,
    unsure          boolean     NOT NULL,
    state           text        NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'released', 'deleted', 'expired')),
    settled_at      timestamptz,
    PRIMARY KEY (organisation_id, id),
    UNIQUE (organisation_id, trace),
    FOREIGN KEY (organisation_id, object_id) REFERENCES object,
    CONSTRAINT held_message_settled CHECK ((state = 'held') = (settled_at IS NULL)),
    CONSTRAINT held_message_body CHECK ((state = 'held') = (object_id IS NOT NULL AND wrapped IS NOT NULL))
);
CREATE INDEX held_message_waiting ON held_message (organisation_id, held_at DESC, id DESC) WHERE state = 'held';
CREATE INDEX held_message_expiring ON held_message (organisation_id, expires_at) WHERE state = 'held';
CREATE INDEX held_message_object ON held_message (organisation_id, object_id) WHERE object_id IS NOT NULL;

-- The mailboxes it is kept from.
CREATE TABLE held_recipient (
    organisation_id bigint NOT NULL,
    held_id         bigint NOT NULL,
    mailbox_id      bigint NOT NULL,
    PRIMARY KEY (organisation_id, held_id, mailbox_id),
    FOREIGN KEY (organisation_id, held_id) REFERENCES held_message ON DELETE CASCADE
);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['verdict', 'verdict_recipient', 'verdict_token', 'held_message', 'held_recipient'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

-- A verdict is never changed; it goes when its time is over (R189: 90 days).
GRANT SELECT, INSERT, DELETE ON verdict, verdict_recipient, verdict_token, held_recipient TO carepost_app;
GRANT SELECT, INSERT, DELETE ON held_message TO carepost_app;
GRANT UPDATE (object_id, wrapped, state, settled_at) ON held_message TO carepost_app;
-- The role that faces port 25 writes down what it decided and reads nothing back.
GRANT INSERT ON verdict, verdict_recipient, verdict_token, held_message, held_recipient TO carepost_relay;
GRANT SELECT (organisation_id, id) ON held_message TO carepost_relay;
