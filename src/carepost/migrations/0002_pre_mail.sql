-- The keystore and mail at rest. Everything a person wrote is sealed; in clear are ids, sizes, dates, flags and counters only.

CREATE SCHEMA keystore;
COMMENT ON SCHEMA keystore IS 'Keys, wrapped. Backed up apart from mail and kept for a short time: destroying a key is how mail is deleted for good.';

-- One row for each version of an organisation's key. The root key that wraps it is never in the database.
CREATE TABLE keystore.organisation_key (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    version         integer     NOT NULL CHECK (version > 0),
    root_version    integer     NOT NULL CHECK (root_version > 0),
    wrapped         bytea       NOT NULL,
    -- Quarantine and trace details are sealed to this by the role that faces strangers, which cannot open them.
    intake_public   bytea       NOT NULL CHECK (length(intake_public) = 32),
    intake_wrapped  bytea       NOT NULL,
    created_at      timestamptz NOT NULL,
    -- Set when a newer version has taken over everything this one wrapped.
    retired_at      timestamptz,
    PRIMARY KEY (organisation_id, version)
);

-- A mailbox's key, wrapped by its organisation's; and its intake pair, the private half wrapped by the mailbox's key.
CREATE TABLE keystore.mailbox_key (
    mailbox_id           bigint      NOT NULL PRIMARY KEY,
    organisation_id      bigint      NOT NULL,
    organisation_version integer     NOT NULL,
    wrapped              bytea       NOT NULL,
    intake_public        bytea       NOT NULL CHECK (length(intake_public) = 32),
    intake_wrapped       bytea       NOT NULL,
    created_at           timestamptz NOT NULL,
    FOREIGN KEY (organisation_id, organisation_version) REFERENCES keystore.organisation_key
);
CREATE INDEX mailbox_key_by_version ON keystore.mailbox_key (organisation_id, organisation_version, mailbox_id);

-- The key of one object as one mailbox holds it. No row, no reading: this is what crypto-shredding deletes.
CREATE TABLE keystore.object_key (
    mailbox_id      bigint NOT NULL,
    object_id       bytea  NOT NULL CHECK (length(object_id) = 16),
    organisation_id bigint NOT NULL,
    wrapped         bytea  NOT NULL,
    PRIMARY KEY (mailbox_id, object_id)
);
CREATE INDEX object_key_by_object ON keystore.object_key (object_id);

-- One message body of one organisation, however many of its mailboxes hold it. Nothing in it is readable.
CREATE TABLE object (
    organisation_id bigint      NOT NULL,
    id              bytea       NOT NULL CHECK (length(id) = 16),
    -- Octets of the message as received, before sealing.
    size            integer     NOT NULL CHECK (size >= 0),
    -- What a list and a search show (envelope, structure, preview), sealed apart from the body so that lists stay quick.
    summary         bytea       NOT NULL,
    sealed          bytea       NOT NULL,
    -- SHA-256 of `sealed`: rot is noticed when read, copied and backed up (C10).
    digest          bytea       NOT NULL CHECK (length(digest) = 32),
    -- The words of the message, sealed, until they are folded into each mailbox's search index.
    words           bytea       NOT NULL,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, id)
);
-- Already compressed and sealed: PostgreSQL's own compression would only cost time.
ALTER TABLE object ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE object ALTER COLUMN words SET STORAGE EXTERNAL;
ALTER TABLE object ALTER COLUMN summary SET STORAGE EXTERNAL;

-- A name that is deleted and made again must come back with a higher UIDVALIDITY. RFC 9051 §2.3.1.1.
CREATE SEQUENCE folder_uidvalidity AS bigint MINVALUE 1 MAXVALUE 4294967295;

-- A folder of a mailbox: what IMAP calls a mailbox. Its name may tell of a patient, so it is sealed too.
CREATE TABLE folder (
    mailbox_id      bigint      NOT NULL,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    organisation_id bigint      NOT NULL,
    name            bytea       NOT NULL,
    -- A keyed hash of the name, so that two folders of a mailbox can't have the same one.
    name_token      bytea       NOT NULL CHECK (length(name_token) = 16),
    special_use     text        CHECK (special_use IN ('inbox', 'archive', 'drafts', 'junk', 'sent', 'trash')),
    uidvalidity     bigint      NOT NULL DEFAULT nextval('folder_uidvalidity')
                    CHECK (uidvalidity BETWEEN 1 AND 4294967295),
    uidnext         bigint      NOT NULL DEFAULT 1 CHECK (uidnext BETWEEN 1 AND 4294967295),
    highest_modseq  bigint      NOT NULL DEFAULT 1,
    messages        integer     NOT NULL DEFAULT 0 CHECK (messages >= 0),
    unseen          integer     NOT NULL DEFAULT 0 CHECK (unseen >= 0),
    octets          bigint      NOT NULL DEFAULT 0 CHECK (octets >= 0),
    subscribed      boolean     NOT NULL DEFAULT true,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (mailbox_id, id),
    UNIQUE (mailbox_id, name_token)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX folder_special_use ON folder (mailbox_id, special_use) WHERE special_use IS NOT NULL;

-- Where a mailbox keeps an object. Never changes; flags live apart.
CREATE TABLE message (
    mailbox_id      bigint      NOT NULL,
    folder_id       bigint      NOT NULL,
    uid             bigint      NOT NULL,
    organisation_id bigint      NOT NULL,
    object_id       bytea       NOT NULL,
    size            integer     NOT NULL,
    internal_date   timestamptz NOT NULL,
    -- The walk by which it came, if it came by the gateway: leads to the verdict ("why is this here?").
    trace           text,
    PRIMARY KEY (mailbox_id, folder_id, uid),
    FOREIGN KEY (mailbox_id, folder_id) REFERENCES folder
);
CREATE INDEX message_newest ON message (mailbox_id, folder_id, internal_date DESC, uid DESC);
CREATE INDEX message_of_object ON message (mailbox_id, object_id);
CREATE INDEX message_of_walk ON message (mailbox_id, trace) WHERE trace IS NOT NULL;

-- Narrow and often changed: HOT updates (fillfactor).
CREATE TABLE message_state (
    mailbox_id      bigint   NOT NULL,
    folder_id       bigint   NOT NULL,
    uid             bigint   NOT NULL,
    organisation_id bigint   NOT NULL,
    -- Bits: 1 seen, 2 answered, 4 flagged, 8 deleted, 16 draft. RFC 9051 §2.3.2.
    flags           smallint NOT NULL DEFAULT 0 CHECK (flags BETWEEN 0 AND 31),
    keywords        text[]   NOT NULL DEFAULT '{}',
    modseq          bigint   NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id, uid)
) WITH (fillfactor = 70);

-- What has gone, for clients that ask what they missed. RFC 7162 §3.2.
CREATE TABLE expunged (
    mailbox_id      bigint NOT NULL,
    folder_id       bigint NOT NULL,
    uid             bigint NOT NULL,
    organisation_id bigint NOT NULL,
    modseq          bigint NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id, modseq, uid)
);

-- A search index of one mailbox, made of immutable sealed segments; opened in memory only.
CREATE TABLE search_segment (
    mailbox_id      bigint      NOT NULL,
    number          integer     NOT NULL,
    organisation_id bigint      NOT NULL,
    objects         integer     NOT NULL CHECK (objects > 0),
    sealed          bytea       NOT NULL,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (mailbox_id, number)
);
ALTER TABLE search_segment ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- Objects that a mailbox holds and no segment knows yet: searched from their sealed words.
CREATE TABLE search_tail (
    mailbox_id      bigint NOT NULL,
    object_id       bytea  NOT NULL,
    organisation_id bigint NOT NULL,
    PRIMARY KEY (mailbox_id, object_id)
);

ALTER TABLE folder SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE message_state SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE search_tail SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY[
        'keystore.organisation_key', 'keystore.mailbox_key', 'keystore.object_key', 'object', 'folder', 'message',
        'message_state', 'expunged', 'search_segment', 'search_tail'
    ] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA keystore TO carepost_app, carepost_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON
      keystore.organisation_key, keystore.mailbox_key, keystore.object_key, object, folder, message, message_state,
      expunged, search_segment, search_tail
   TO carepost_app;
GRANT USAGE ON SEQUENCE folder_uidvalidity TO carepost_app;
-- The role that faces port 25 lays messages in and reads nothing back: no body, no key, no folder's name.
GRANT SELECT (organisation_id, version, intake_public, retired_at) ON keystore.organisation_key TO carepost_relay;
GRANT INSERT ON keystore.object_key, object, message, message_state, search_tail TO carepost_relay;
GRANT SELECT (mailbox_id, id, organisation_id, special_use, uidvalidity, uidnext, highest_modseq, messages, unseen, octets)
   ON folder TO carepost_relay;
GRANT UPDATE (uidnext, highest_modseq, messages, unseen, octets) ON folder TO carepost_relay;
-- So that a stranger who calls himself as a colleague does is noticed at the door (R140).
GRANT SELECT (kind, display_name) ON mailbox TO carepost_relay;
