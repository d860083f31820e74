-- The portal: messages that people outside read by a secure link, what they prove, and what they did.
-- Addresses and names are sealed to the organisation; of a link only the hash of its secret half is kept.

-- Which message a link is about. It must be found before anybody knows whose it is, so exempt from tenancy: random
-- numbers and what they lead to.
CREATE TABLE portal_link (
    lookup             bytea  PRIMARY KEY CHECK (length(lookup) = 12),
    -- Not called organisation_id: it names the tenant, it does not make the row a tenant's.
    owner_organisation bigint NOT NULL,
    message_id         bigint NOT NULL
);

-- What may be asked how often: keyed hashes of addresses and networks, over all organisations, so exempt from tenancy.
CREATE TABLE portal_budget (
    key        bytea       PRIMARY KEY CHECK (length(key) = 16),
    begun_at   timestamptz NOT NULL,
    spent      integer     NOT NULL CHECK (spent > 0)
) WITH (fillfactor = 70);

-- One recipient's copy of a message, or an invitation to write to us.
CREATE TABLE secure_message (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    kind            text        NOT NULL CHECK (kind IN ('letter', 'invitation')),
    mailbox_id      bigint      NOT NULL,
    -- The message it is a copy of; NULL for invitations and for copies given to who asked.
    outgoing_id     bigint,
    seq             smallint    NOT NULL CHECK (seq >= 0),
    trace           text        NOT NULL CHECK (length(trace) BETWEEN 1 AND 64),
    lookup          bytea       NOT NULL CHECK (length(lookup) = 12),
    verifier_hash   bytea       NOT NULL CHECK (length(verifier_hash) = 32),
    level           text        NOT NULL CHECK (level IN ('L1', 'L2', 'L3')),
    state           text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'revoked', 'expired')),
    made_at         timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL CHECK (expires_at > made_at),
    -- Wrong codes and phrases of the day that began then. Ten freeze it.
    failures        integer     NOT NULL DEFAULT 0 CHECK (failures >= 0),
    failures_since  timestamptz,
    frozen_until    timestamptz,
    replies         integer     NOT NULL DEFAULT 0 CHECK (replies >= 0),
    reply_octets    bigint      NOT NULL DEFAULT 0 CHECK (reply_octets >= 0),
    -- The sealed content and its key, sealed to the organisation; at L2 the key is wrapped by the agreed phrase first.
    -- Gone when it was revoked or has expired: nobody can read it then.
    object_id       bytea       CHECK (length(object_id) = 16),
    wrapped         bytea,
    -- Of the phrase's key.
    salt            bytea       CHECK (length(salt) = 16),
    -- Addresses and names: sealed to the organisation.
    details         bytea       NOT NULL,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox,
    FOREIGN KEY (organisation_id, object_id) REFERENCES object,
    CONSTRAINT secure_message_key CHECK ((object_id IS NULL) = (wrapped IS NULL)),
    CONSTRAINT secure_message_body CHECK (state = 'open' OR object_id IS NULL),
    CONSTRAINT secure_message_content CHECK (kind = 'invitation' OR state <> 'open' OR object_id IS NOT NULL)
);
CREATE INDEX secure_message_of_outgoing ON secure_message (organisation_id, outgoing_id, seq) WHERE outgoing_id IS NOT NULL;
CREATE INDEX secure_message_of_mailbox ON secure_message (organisation_id, mailbox_id, id DESC);
CREATE INDEX secure_message_expiring ON secure_message (organisation_id, expires_at) WHERE state = 'open';
CREATE INDEX secure_message_object ON secure_message (organisation_id, object_id) WHERE object_id IS NOT NULL;

-- A browser and one message: never two messages.
CREATE TABLE portal_session (
    organisation_id bigint      NOT NULL,
    message_id      bigint      NOT NULL,
    token_hash      bytea       NOT NULL CHECK (length(token_hash) = 32),
    step            text        NOT NULL CHECK (step IN ('code', 'phrase', 'text', 'open')),
    -- The key that the phrase gave, sealed by the browser's token, of which only the hash is here.
    sealed_key      bytea,
    begun_at        timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, message_id, token_hash),
    FOREIGN KEY (organisation_id, message_id) REFERENCES secure_message ON DELETE CASCADE
);

-- A code that was sent, bound to the browser that asked for it.
CREATE TABLE portal_code (
    organisation_id bigint      NOT NULL,
    message_id      bigint      NOT NULL,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    token_hash      bytea       NOT NULL CHECK (length(token_hash) = 32),
    channel         text        NOT NULL CHECK (channel IN ('mail', 'text')),
    -- Keyed (edge key): the table alone cannot be tried.
    code_hash       bytea       NOT NULL CHECK (length(code_hash) = 32),
    state           text        NOT NULL DEFAULT 'sent' CHECK (state IN ('sent', 'used', 'replaced')),
    tries           smallint    NOT NULL DEFAULT 0 CHECK (tries >= 0),
    made_at         timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, message_id, id),
    FOREIGN KEY (organisation_id, message_id) REFERENCES secure_message ON DELETE CASCADE
);

-- What happened to it: the sender's record (R124), and the reader's own log.
CREATE TABLE portal_event (
    organisation_id bigint      NOT NULL,
    message_id      bigint      NOT NULL,
    number          bigint      GENERATED ALWAYS AS IDENTITY,
    at              timestamptz NOT NULL,
    what            text        NOT NULL CHECK (what IN ('made', 'noticed', 'code sent', 'wrong', 'opened', 'read',
                        'downloaded', 'replied', 'asked', 'frozen', 'extended', 'revoked', 'expired')),
    -- From which network: sealed to the organisation.
    details         bytea,
    PRIMARY KEY (organisation_id, message_id, number),
    FOREIGN KEY (organisation_id, message_id) REFERENCES secure_message ON DELETE CASCADE
);

-- Somebody to whom a notice was forwarded asks for access (R121).
CREATE TABLE portal_request (
    organisation_id bigint      NOT NULL,
    message_id      bigint      NOT NULL,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    state           text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'approved', 'refused')),
    asked_at        timestamptz NOT NULL,
    settled_at      timestamptz,
    -- Name, address and words: sealed to the organisation.
    details         bytea       NOT NULL,
    PRIMARY KEY (organisation_id, message_id, id),
    FOREIGN KEY (organisation_id, message_id) REFERENCES secure_message ON DELETE CASCADE,
    CONSTRAINT portal_request_settled CHECK ((state = 'waiting') = (settled_at IS NULL))
);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['secure_message', 'portal_session', 'portal_code', 'portal_event', 'portal_request'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON portal_link, portal_budget, portal_session, portal_code TO carepost_app;
GRANT SELECT, INSERT ON secure_message, portal_event, portal_request TO carepost_app;
GRANT UPDATE (state, expires_at, failures, failures_since, frozen_until, replies, reply_octets, object_id, wrapped, salt)
   ON secure_message TO carepost_app;
GRANT UPDATE (state, settled_at) ON portal_request TO carepost_app;
