-- The delivery queue: what leaves for other systems, recipient by recipient; and the keys that it is signed with.
-- Addresses, domains and what other systems said are sealed to the organisation; in clear are states, counts and times.

-- A message, or a share of one, given to the queue.
CREATE TABLE delivery (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    trace           text        NOT NULL CHECK (length(trace) BETWEEN 1 AND 64),
    -- The message that somebody here sends; NULL: the service's own mail, of which no sender is told.
    outgoing_id     bigint,
    -- The body and its key; NULL when the safety net's time is over (C12).
    object_id       bytea       CHECK (length(object_id) = 16),
    wrapped         bytea,
    size            integer     NOT NULL CHECK (size >= 0),
    -- Reverse-path, ENVID and what else the envelope says: sealed.
    details         bytea       NOT NULL,
    lane            smallint    NOT NULL CHECK (lane BETWEEN 0 AND 2),
    urgent          boolean     NOT NULL,
    -- How many recipients were taken over: what reconciliation counts the others against (C2).
    recipients      integer     NOT NULL CHECK (recipients > 0),
    queued_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL CHECK (expires_at > queued_at),
    -- When the last of its recipients came to an end.
    settled_at      timestamptz,
    PRIMARY KEY (organisation_id, id),
    FOREIGN KEY (organisation_id, object_id) REFERENCES object,
    CONSTRAINT delivery_body CHECK ((object_id IS NULL) = (wrapped IS NULL)),
    CONSTRAINT delivery_needs_its_body CHECK (settled_at IS NOT NULL OR object_id IS NOT NULL)
);
CREATE INDEX delivery_of_outgoing ON delivery (organisation_id, outgoing_id) WHERE outgoing_id IS NOT NULL;
CREATE INDEX delivery_of_walk ON delivery (organisation_id, trace);
CREATE INDEX delivery_of_object ON delivery (organisation_id, object_id) WHERE object_id IS NOT NULL;
CREATE INDEX delivery_kept ON delivery (organisation_id, settled_at) WHERE object_id IS NOT NULL;
CREATE INDEX delivery_oldest ON delivery (organisation_id, queued_at);
ALTER TABLE delivery ALTER COLUMN details SET STORAGE EXTERNAL;

-- One recipient, and what became of it. Each ends in exactly one state other than 'queued' (C2).
CREATE TABLE delivery_recipient (
    organisation_id bigint      NOT NULL,
    delivery_id     bigint      NOT NULL,
    -- The number by which whoever gave it knows it.
    seq             integer     NOT NULL CHECK (seq >= 0),
    -- Address, least TLS, NOTIFY, ORCPT: sealed.
    details         bytea       NOT NULL,
    state           text        NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'delivered', 'failed', 'expired', 'cancelled')),
    settled_at      timestamptz,
    attempts        integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Attempts whose last answer was lost: so many more copies may have arrived (RFC 1047).
    lost_replies    integer     NOT NULL DEFAULT 0 CHECK (lost_replies >= 0),
    -- What the last attempt came to: the reply, how the hop was protected (R106); host and words are sealed.
    code            smallint,
    enhanced        text,
    tls_version     text,
    cipher          text,
    verified_by     text,
    evidence        bytea,
    PRIMARY KEY (organisation_id, delivery_id, seq),
    FOREIGN KEY (organisation_id, delivery_id) REFERENCES delivery ON DELETE CASCADE,
    CONSTRAINT delivery_recipient_settled CHECK ((state = 'queued') = (settled_at IS NULL))
) WITH (fillfactor = 80);
ALTER TABLE delivery_recipient ALTER COLUMN details SET STORAGE EXTERNAL;
ALTER TABLE delivery_recipient ALTER COLUMN evidence SET STORAGE EXTERNAL;

-- Whose turn it is: one narrow row for each recipient that is still queued, and none for any other.
CREATE TABLE delivery_turn (
    organisation_id bigint      NOT NULL,
    delivery_id     bigint      NOT NULL,
    seq             integer     NOT NULL,
    -- A keyed hash of the destination's domain, the same for all organisations: so many conversations with one at once.
    destination     bytea       NOT NULL CHECK (length(destination) = 16),
    lane            smallint    NOT NULL CHECK (lane BETWEEN 0 AND 2),
    queued_at       timestamptz NOT NULL,
    next_at         timestamptz NOT NULL,
    -- How many of the ages at which a sender is told of a delay have been told.
    delays_told     smallint    NOT NULL DEFAULT 0 CHECK (delays_told >= 0),
    -- It waits because the hop could not be protected as it must be.
    tls_missing     boolean     NOT NULL DEFAULT false,
    -- Who has it in hand, and until when if nothing more is heard of them (C5).
    lease_owner     text        CHECK (length(lease_owner) BETWEEN 1 AND 64),
    lease_until     timestamptz,
    PRIMARY KEY (organisation_id, delivery_id, seq),
    FOREIGN KEY (organisation_id, delivery_id, seq) REFERENCES delivery_recipient ON DELETE CASCADE,
    CONSTRAINT delivery_turn_lease CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX delivery_turn_due ON delivery_turn (lane, next_at, delivery_id, seq) WHERE lease_owner IS NULL;
CREATE INDEX delivery_turn_leased ON delivery_turn (lease_until) WHERE lease_owner IS NOT NULL;
CREATE INDEX delivery_turn_oldest ON delivery_turn (queued_at);

-- The keys our mail is signed with (RFC 6376): public halves stand in DNS, private ones are sealed.
CREATE TABLE dkim_key (
    -- Who owns the domain; the service's own organisation for a domain that all share.
    organisation_id bigint      NOT NULL REFERENCES organisation,
    domain          text        COLLATE "C" NOT NULL REFERENCES mail_domain,
    selector        text        COLLATE "C" NOT NULL CHECK (selector ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    algorithm       text        NOT NULL CHECK (algorithm IN ('rsa', 'ed25519')),
    public          bytea       NOT NULL,
    -- NULL once it has been destroyed.
    private         bytea,
    -- standby: published, signs from the next rotation on. retired: signs no more, and is published for a while yet.
    state           text        NOT NULL CHECK (state IN ('standby', 'active', 'retired')),
    created_at      timestamptz NOT NULL,
    activated_at    timestamptz,
    retired_at      timestamptz,
    PRIMARY KEY (organisation_id, domain, selector),
    CONSTRAINT dkim_key_retired CHECK ((state = 'retired') = (retired_at IS NOT NULL)),
    CONSTRAINT dkim_key_usable CHECK (state = 'retired' OR private IS NOT NULL)
);
CREATE UNIQUE INDEX dkim_key_signing ON dkim_key (organisation_id, domain, algorithm, state) WHERE state <> 'retired';

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['delivery', 'delivery_recipient', 'delivery_turn', 'dkim_key'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

-- Turns of all organisations are taken in one statement, by who says so for the length of a transaction. What is seen
-- are numbers and times: what they are about is sealed, and stands in tables that have no such policy.
CREATE POLICY taking_turns_seen ON delivery_turn FOR SELECT
    USING (current_setting('carepost.queue', true) = 'taking turns');
CREATE POLICY taking_turns ON delivery_turn FOR UPDATE
    USING (current_setting('carepost.queue', true) = 'taking turns')
    WITH CHECK (current_setting('carepost.queue', true) = 'taking turns');

GRANT SELECT, INSERT, DELETE ON delivery, delivery_recipient, delivery_turn, dkim_key TO carepost_app;
GRANT UPDATE (object_id, wrapped, settled_at) ON delivery TO carepost_app;
GRANT UPDATE (state, settled_at, attempts, lost_replies, code, enhanced, tls_version, cipher, verified_by, evidence)
   ON delivery_recipient TO carepost_app;
GRANT UPDATE (next_at, delays_told, tls_missing, lease_owner, lease_until) ON delivery_turn TO carepost_app;
GRANT UPDATE (private, state, activated_at, retired_at) ON dkim_key TO carepost_app;
