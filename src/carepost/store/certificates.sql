-- Every statement about certificates of mailboxes. The organisation comes first, always.

-- insert_certificate --
-- Keep one. Nothing comes back when the mailbox has it already.
INSERT INTO mail_certificate (organisation_id, mailbox_id, fingerprint, certificates, private_key, signs, since, until,
       added_at)
VALUES (%(organisation)s, %(mailbox)s, %(fingerprint)s, %(certificates)s, %(private_key)s, %(signs)s, %(since)s,
        %(until)s, %(now)s)
ON CONFLICT (organisation_id, mailbox_id, fingerprint) DO NOTHING
RETURNING fingerprint;

-- certificates --
-- Of a mailbox, the newest first.
SELECT fingerprint, certificates, private_key, signs, since, until, added_at
  FROM mail_certificate
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s
 ORDER BY added_at DESC, fingerprint
 LIMIT %(limit)s;

-- remove_certificate --
-- With its key, for good.
DELETE FROM mail_certificate
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND fingerprint = %(fingerprint)s
RETURNING fingerprint;
