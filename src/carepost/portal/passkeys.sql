-- Every statement about readers' passkeys. The organisation comes first, always.

-- passkeys_of --
-- The passkeys of an address with an organisation.
SELECT id, credential, public_key, counted, proved, state, kept_at, used_at
  FROM portal_passkey
 WHERE organisation_id = %(organisation)s AND address_token = %(whose)s
 ORDER BY id
 LIMIT %(limit)s;

-- insert_passkey --
-- Keep one. None comes back when the authenticator is known already.
INSERT INTO portal_passkey (organisation_id, address_token, credential, public_key, counted, proved, kept_at)
VALUES (%(organisation)s, %(whose)s, %(credential)s, %(public_key)s, %(counted)s, %(proved)s, %(now)s)
ON CONFLICT ON CONSTRAINT portal_passkey_once DO NOTHING
RETURNING id;

-- use_passkey --
-- It was used. Nothing comes back unless it counted on (or never counts), as one that has no copy does.
UPDATE portal_passkey
   SET counted = %(counted)s, used_at = %(now)s
 WHERE organisation_id = %(organisation)s AND id = %(passkey)s AND state = 'kept'
   AND (counted < %(counted)s OR (counted = 0 AND %(counted)s = 0))
RETURNING id;

-- passkey_copied --
-- Accept it no more.
UPDATE portal_passkey
   SET state = 'copied'
 WHERE organisation_id = %(organisation)s AND id = %(passkey)s AND state = 'kept'
RETURNING id;

-- remove_passkey --
-- Its owner does not want it any more.
DELETE FROM portal_passkey
 WHERE organisation_id = %(organisation)s AND id = %(passkey)s AND address_token = %(whose)s
RETURNING id;

-- put_challenge --
-- What one browser's authenticator is asked to sign; an earlier question is void.
INSERT INTO portal_challenge (organisation_id, message_id, token_hash, purpose, challenge, expires_at)
VALUES (%(organisation)s, %(message)s, %(token)s, %(purpose)s, %(challenge)s, %(expires)s)
ON CONFLICT (organisation_id, message_id, token_hash, purpose)
DO UPDATE SET challenge = EXCLUDED.challenge, expires_at = EXCLUDED.expires_at;

-- take_challenge --
-- Once: of two answers at the same time one finds it.
DELETE FROM portal_challenge
 WHERE organisation_id = %(organisation)s AND message_id = %(message)s AND token_hash = %(token)s
   AND purpose = %(purpose)s
RETURNING challenge, expires_at;
