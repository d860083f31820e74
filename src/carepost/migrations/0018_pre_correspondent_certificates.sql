-- S/MIME: the certificates of correspondents, whom everything that is relayed is encrypted for (R126).

CREATE TABLE correspondent_certificate (
    organisation_id bigint      NOT NULL REFERENCES organisation,
    -- The address as a keyed hash (edge key).
    token           bytea       NOT NULL CHECK (length(token) = 16),
    -- SHA-256 of the certificate.
    fingerprint     bytea       NOT NULL CHECK (length(fingerprint) = 32),
    -- The address, the certificate and those that vouch for it, sealed under the organisation's key.
    certificate     bytea       NOT NULL,
    added_at        timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, token)
);

ALTER TABLE correspondent_certificate ENABLE ROW LEVEL SECURITY;
ALTER TABLE correspondent_certificate FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organisation ON correspondent_certificate
    USING (organisation_id = nullif(current_setting('carepost.organisation', true), '')::bigint)
    WITH CHECK (organisation_id = nullif(current_setting('carepost.organisation', true), '')::bigint);

GRANT SELECT, INSERT, UPDATE, DELETE ON correspondent_certificate TO carepost_app;
