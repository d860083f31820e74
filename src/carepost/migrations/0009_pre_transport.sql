-- What is known of other mail systems' protection, and what came of it: policies that were fetched (RFC 8461), and
-- counts for reports (RFC 8460). The service's own, not one organisation's; domains and hosts are sealed (edge key),
-- found by keyed hashes. The role that faces port 25 has no business here.

-- An MTA-STS policy as it was fetched. Counts until its time is over, whatever becomes of its record and its server.
CREATE TABLE sts_policy (
    domain_token bytea       PRIMARY KEY CHECK (length(domain_token) = 16),
    -- The policy's text and the id that DNS announced.
    sealed       bytea       NOT NULL,
    fetched_at   timestamptz NOT NULL,
    until        timestamptz NOT NULL
);
CREATE INDEX sts_policy_until ON sts_policy (until);

-- How often TLS with the hosts of a domain came about, or failed in one way, in a day (UTC).
CREATE TABLE tls_result (
    day          date   NOT NULL,
    domain_token bytea  NOT NULL CHECK (length(domain_token) = 16),
    -- Of the policy, the host and the kind of failure.
    result_token bytea  NOT NULL CHECK (length(result_token) = 16),
    sealed       bytea  NOT NULL,
    successes    bigint NOT NULL DEFAULT 0 CHECK (successes >= 0),
    failures     bigint NOT NULL DEFAULT 0 CHECK (failures >= 0),
    PRIMARY KEY (day, domain_token, result_token)
);

-- The days whose report about a domain has been written: nobody is told twice.
CREATE TABLE tls_report_done (
    day          date        NOT NULL,
    domain_token bytea       NOT NULL CHECK (length(domain_token) = 16),
    at           timestamptz NOT NULL,
    PRIMARY KEY (day, domain_token)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON sts_policy, tls_result, tls_report_done TO carepost_app;
