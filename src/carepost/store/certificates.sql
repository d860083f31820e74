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

-- put_correspondent --
-- The one that mail to an address is encrypted for from now on.
INSERT INTO correspondent_certificate (organisation_id, token, fingerprint, certificate, added_at)
VALUES (%(organisation)s, %(token)s, %(fingerprint)s, %(certificate)s, %(now)s)
ON CONFLICT (organisation_id, token) DO UPDATE
   SET fingerprint = excluded.fingerprint, certificate = excluded.certificate, added_at = excluded.added_at;

-- correspondents --
-- Those of some addresses.
SELECT token, fingerprint, certificate
  FROM correspondent_certificate
 WHERE organisation_id = %(organisation)s AND token = ANY(%(tokens)s);

-- correspondents_page --
-- One page of an organisation's, in the order of their tokens.
SELECT token, fingerprint, certificate
  FROM correspondent_certificate
 WHERE organisation_id = %(organisation)s AND token > %(after)s
 ORDER BY token
 LIMIT %(limit)s;

-- remove_correspondent --
-- Mail to that address is encrypted no more.
DELETE FROM correspondent_certificate
 WHERE organisation_id = %(organisation)s AND token = %(token)s
RETURNING fingerprint;
