-- Passkeys of readers outside: kept after a message was opened, for one address with one organisation.

CREATE TABLE portal_passkey (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    -- Whose: a keyed hash of the reader's address.
    address_token   bytea       NOT NULL CHECK (length(address_token) = 16),
    credential      bytea       NOT NULL CHECK (length(credential) BETWEEN 16 AND 1023),
    public_key      bytea       NOT NULL CHECK (length(public_key) <= 2048),
    -- What the authenticator counted at its last use; one that does not grow tells of a copy.
    counted         bigint      NOT NULL CHECK (counted >= 0),
    -- What its owner had proved when it was kept: it stands in for no stronger proof than that.
    proved          text        NOT NULL CHECK (proved IN ('L1', 'L2', 'L3')),
    state           text        NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'copied')),
    kept_at         timestamptz NOT NULL,
    used_at         timestamptz,
    PRIMARY KEY (organisation_id, id),
    CONSTRAINT portal_passkey_once UNIQUE (organisation_id, credential)
);
CREATE INDEX portal_passkey_of ON portal_passkey (organisation_id, address_token, id);

-- What an authenticator was asked to sign, by one browser at one message: once, for minutes.
CREATE TABLE portal_challenge (
    organisation_id bigint      NOT NULL,
    message_id      bigint      NOT NULL,
    token_hash      bytea       NOT NULL CHECK (length(token_hash) = 32),
    purpose         text        NOT NULL CHECK (purpose IN ('keep', 'open')),
    challenge       bytea       NOT NULL CHECK (length(challenge) = 32),
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, message_id, token_hash, purpose),
    FOREIGN KEY (organisation_id, message_id) REFERENCES secure_message ON DELETE CASCADE
);

ALTER TABLE portal_event DROP CONSTRAINT portal_event_what_check;
ALTER TABLE portal_event ADD CONSTRAINT portal_event_what_check CHECK (what IN ('made', 'noticed', 'code sent', 'wrong', 'opened', 'read',
    'downloaded', 'replied', 'asked', 'frozen', 'extended', 'revoked', 'expired', 'passkey kept', 'passkey removed', 'passkey copied'));

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['portal_passkey', 'portal_challenge'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

GRANT SELECT, INSERT, DELETE ON portal_passkey TO carepost_app;
GRANT UPDATE (counted, state, used_at) ON portal_passkey TO carepost_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON portal_challenge TO carepost_app;
