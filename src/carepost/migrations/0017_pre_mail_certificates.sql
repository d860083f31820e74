-- S/MIME: certificates of our own mailboxes with their private keys, and those of correspondents (R126).

CREATE TABLE mail_certificate (
    organisation_id bigint      NOT NULL,
    mailbox_id      bigint      NOT NULL,
    -- SHA-256 of the certificate.
    fingerprint     bytea       NOT NULL CHECK (length(fingerprint) = 32),
    -- DER, its own and then those that vouch for it: public.
    certificates    bytea[]     NOT NULL CHECK (cardinality(certificates) BETWEEN 1 AND 10),
    -- PKCS #8, sealed under the mailbox's key.
    private_key     bytea       NOT NULL,
    -- Whether what leaves from the mailbox is signed with it.
    signs           boolean     NOT NULL,
    since           timestamptz NOT NULL,
    until           timestamptz NOT NULL CHECK (until > since),
    added_at        timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, mailbox_id, fingerprint),
    FOREIGN KEY (organisation_id, mailbox_id) REFERENCES mailbox
);

ALTER TABLE mail_certificate ENABLE ROW LEVEL SECURITY;
ALTER TABLE mail_certificate FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organisation ON mail_certificate
    USING (organisation_id = nullif(current_setting('carepost.organisation', true), '')::bigint)
    WITH CHECK (organisation_id = nullif(current_setting('carepost.organisation', true), '')::bigint);

-- No UPDATE: a certificate is added and removed.
GRANT SELECT, INSERT, DELETE ON mail_certificate TO carepost_app;
