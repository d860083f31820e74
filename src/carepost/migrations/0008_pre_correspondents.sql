-- Who there is to write to, whom each mailbox has written to, and the counts that keep sending within bounds.

-- The directory as everybody here may search it (R147), kept with the mailbox it tells of, in the same transaction.
-- One directory for the whole service, as a telephone book is, so exempt from tenancy: name, role, address, nothing else.
CREATE TABLE directory_entry (
    address             text    COLLATE "C" PRIMARY KEY CHECK (address = lower(address)),
    -- Not called organisation_id: it names the tenant, it does not make the row a tenant's.
    owner_organisation  bigint  NOT NULL,
    mailbox_id          bigint  NOT NULL,
    kind                text    NOT NULL CHECK (kind IN ('personal', 'shared', 'resource')),
    name                text    NOT NULL CHECK (length(name) BETWEEN 1 AND 249),
    job                 text    NOT NULL DEFAULT '',
    -- joining: not yet reachable. leaver: mail is still taken, nobody suggests them any more (R150). gone: mail is refused.
    state               text    NOT NULL CHECK (state IN ('open', 'joining', 'leaver', 'gone')),
    not_for_urgent      boolean NOT NULL DEFAULT false,
    FOREIGN KEY (owner_organisation, mailbox_id) REFERENCES mailbox (organisation_id, id)
);
CREATE INDEX directory_entry_by_mailbox ON directory_entry (owner_organisation, mailbox_id);

-- Its words: what somebody types the beginning of. Lower case, without accents.
CREATE TABLE directory_word (
    word     text COLLATE "C" NOT NULL CHECK (word <> ''),
    address  text COLLATE "C" NOT NULL REFERENCES directory_entry ON DELETE CASCADE,
    PRIMARY KEY (word, address)
);
CREATE INDEX directory_word_by_address ON directory_word (address);

-- Whom a mailbox has written to. Names and addresses are sealed with the mailbox's key.
CREATE TABLE correspondent (
    organisation_id  bigint      NOT NULL,
    mailbox_id       bigint      NOT NULL,
    -- A keyed hash of the address, of this mailbox's own: how one address is found without opening any.
    token            bytea       NOT NULL CHECK (length(token) = 16),
    sealed           bytea       NOT NULL,
    times            integer     NOT NULL DEFAULT 0 CHECK (times >= 0),
    last_at          timestamptz,
    -- They have agreed to plain email, and who of us says so.
    consented_at     timestamptz,
    consented_to     bigint,
    -- A patient, or somebody who writes for one: never visible to another.
    patient          boolean     NOT NULL DEFAULT false,
    -- R178: when and how somebody made sure that the address is theirs.
    verified_at      timestamptz,
    verified_how     text        CHECK (verified_how IN ('in person', 'by telephone', 'by letter', 'by code')),
    -- R150: not suggested any more, but what is known of consent and checks stays.
    forgotten        boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (organisation_id, mailbox_id, token),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox,
    FOREIGN KEY (organisation_id, consented_to) REFERENCES person,
    CONSTRAINT correspondent_verified CHECK ((verified_at IS NULL) = (verified_how IS NULL)),
    CONSTRAINT correspondent_consented CHECK ((consented_at IS NULL) = (consented_to IS NULL))
);
CREATE INDEX correspondent_by_use ON correspondent (organisation_id, mailbox_id, last_at DESC NULLS LAST);

-- Which two were written to in one message: company that a name picked by mistake has never kept.
CREATE TABLE correspondent_together (
    organisation_id  bigint      NOT NULL,
    mailbox_id       bigint      NOT NULL,
    one              bytea       NOT NULL CHECK (length(one) = 16),
    other            bytea       NOT NULL CHECK (length(other) = 16),
    times            integer     NOT NULL DEFAULT 1 CHECK (times > 0),
    last_at          timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, mailbox_id, one, other),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox,
    CONSTRAINT correspondent_together_in_order CHECK (one < other)
);

-- What a person has sent lately (R158): one row a person, so that two messages at once are counted one after the other.
CREATE TABLE sending_count (
    organisation_id  bigint        NOT NULL,
    person_id        bigint        NOT NULL,
    -- When the messages of the last minute were sent; as many as the limit at most.
    recent           timestamptz[] NOT NULL DEFAULT '{}',
    day              date          NOT NULL,
    recipients       integer       NOT NULL DEFAULT 0 CHECK (recipients >= 0),
    PRIMARY KEY (organisation_id, person_id),
    FOREIGN KEY (organisation_id, person_id) REFERENCES person
);

-- Replies to all, by conversation (R72). A storm crosses organisations, so exempt from tenancy: a keyed hash and counts.
CREATE TABLE reply_storm (
    thread         bytea         PRIMARY KEY CHECK (length(thread) = 16),
    -- When the last replies to all were sent; as many as the strictest rule counts at most.
    recent         timestamptz[] NOT NULL DEFAULT '{}',
    -- The most people that one of them went to.
    people         integer       NOT NULL DEFAULT 0,
    blocked_until  timestamptz,
    last_at        timestamptz   NOT NULL
);
CREATE INDEX reply_storm_by_time ON reply_storm (last_at);

-- How often each rule asked, and what people answered: a rule that is mostly overridden is a bad rule.
CREATE TABLE prompt_count (
    organisation_id  bigint   NOT NULL REFERENCES organisation,
    day              date     NOT NULL,
    -- A finding's code, or "messages": how many were sent at all.
    rule             text     NOT NULL CHECK (rule ~ '^[a-z0-9-]{1,60}$'),
    -- Several rows a rule, so that an organisation's senders do not wait for each other.
    shard            smallint NOT NULL,
    shown            integer  NOT NULL DEFAULT 0,
    accepted         integer  NOT NULL DEFAULT 0,
    overridden       integer  NOT NULL DEFAULT 0,
    PRIMARY KEY (organisation_id, day, rule, shard)
);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['correspondent', 'correspondent_together', 'sending_count', 'prompt_count'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON directory_entry, directory_word, correspondent, correspondent_together,
  sending_count, reply_storm, prompt_count TO carepost_app;

-- Those who are here already. The owner is bound by row-level security too, and asks for everybody's rows this once.
ALTER TABLE person NO FORCE ROW LEVEL SECURITY;
ALTER TABLE mailbox NO FORCE ROW LEVEL SECURITY;
INSERT INTO directory_entry (address, owner_organisation, mailbox_id, kind, name, job, state, not_for_urgent)
SELECT route.address, mailbox.organisation_id, mailbox.id, mailbox.kind, mailbox.display_name,
       coalesce(person.job_title, ''),
       CASE WHEN route.state = 'closed' THEN 'gone' WHEN route.state = 'pending' THEN 'joining'
            WHEN person.status = 'leaver' THEN 'leaver' ELSE 'open' END,
       mailbox.not_for_urgent
  FROM address_route AS route
  JOIN mailbox ON mailbox.organisation_id = route.owner_organisation AND mailbox.id = route.mailbox_id
  LEFT JOIN person ON person.organisation_id = mailbox.organisation_id AND person.id = mailbox.person_id;
INSERT INTO directory_word (word, address)
SELECT DISTINCT word, entry.address
  FROM directory_entry AS entry,
       regexp_split_to_table(
         lower(regexp_replace(normalize(entry.name || ' ' || split_part(entry.address, '@', 1), NFKD), '[\u0300-\u036f]', '', 'g')),
         '[^[:alnum:]]+') AS word
 WHERE word <> '';
ALTER TABLE person FORCE ROW LEVEL SECURITY;
ALTER TABLE mailbox FORCE ROW LEVEL SECURITY;
