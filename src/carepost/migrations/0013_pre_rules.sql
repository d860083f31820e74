-- What each organisation asks of mail that leaves it (R113, R159), its disclaimer (R146) and its guidance (R115), and
-- the domains that the operator excuses from mandatory TLS for a time (R107).

-- Every version is kept: what was the rule when a message left can be said years later.
CREATE TABLE outgoing_rules (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    version         integer     NOT NULL CHECK (version > 0),
    -- What differs from the service's own rules, as JSON: measures, numbers, and the texts.
    chosen          text        NOT NULL CHECK (length(chosen) BETWEEN 2 AND 65536),
    reason          text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    set_at          timestamptz NOT NULL,
    -- NULL: the operator, at the command line.
    set_by          bigint,
    PRIMARY KEY (organisation_id, version),
    FOREIGN KEY (organisation_id, set_by) REFERENCES person
);

-- Who has read the organisation's guidance about secure links, and which text of it: nobody is shown one twice (R115).
CREATE TABLE guidance_seen (
    organisation_id bigint      NOT NULL,
    person_id       bigint      NOT NULL,
    digest          bytea       NOT NULL CHECK (length(digest) = 16),
    seen_at         timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, person_id),
    FOREIGN KEY (organisation_id, person_id) REFERENCES person
);

-- One list for the whole service, as the register is, so exempt from tenancy. Never for what is sensitive.
CREATE TABLE tls_exception (
    domain     text        PRIMARY KEY CHECK (domain = lower(domain)),
    reason     text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    made_at    timestamptz NOT NULL,
    until_at   timestamptz NOT NULL CHECK (until_at > made_at)
);

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['outgoing_rules', 'guidance_seen'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY own_organisation ON %s'
            ' USING (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)'
            ' WITH CHECK (organisation_id = nullif(current_setting(''carepost.organisation'', true), '''')::bigint)',
            tenant_table);
    END LOOP;
END $$;

-- No UPDATE, no DELETE: a version that was in force stays as it was.
GRANT SELECT, INSERT ON outgoing_rules TO carepost_app;
GRANT SELECT, INSERT, UPDATE ON guidance_seen TO carepost_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON tls_exception TO carepost_app;
GRANT SELECT ON tls_exception TO carepost_relay;
