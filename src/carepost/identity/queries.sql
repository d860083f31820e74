-- Statements of sign-in, sessions and app passwords.

-- route_and_act --
-- Whose address it is; from here on the transaction acts for their organisation. No row: nobody's.
SELECT owner_organisation AS organisation, mailbox_id AS mailbox,
       set_config('carepost.organisation', owner_organisation::text, true) AS acting
  FROM address_route
 WHERE address = %(address)s AND kind = 'personal';

-- account_of_mailbox --
-- Everything that the first step of signing in looks at, for the holder of a personal mailbox.
SELECT person.id AS person, person.status, person.given_name, person.family_name, person.title, mailbox.address,
       credential.password_hash, credential.must_change, totp.confirmed_at IS NOT NULL AS has_factor
  FROM mailbox
  JOIN person ON person.organisation_id = mailbox.organisation_id AND person.id = mailbox.person_id
  LEFT JOIN credential ON credential.organisation_id = person.organisation_id AND credential.person_id = person.id
  LEFT JOIN totp_factor AS totp ON totp.organisation_id = person.organisation_id AND totp.person_id = person.id
 WHERE mailbox.organisation_id = %(organisation)s AND mailbox.id = %(mailbox)s;

-- attempts_of_person --
-- An account's tries since then, in order: for the throttle.
SELECT at, outcome, device, password_mark FROM sign_in_attempt
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s AND at > %(since)s
 ORDER BY at, id;

-- attempts_of_name --
-- The same for a name that nobody has: it must not answer otherwise than one that somebody has.
SELECT at, outcome, device, password_mark FROM sign_in_attempt
 WHERE organisation_id = %(organisation)s AND name_mark = %(name_mark)s AND at > %(since)s
 ORDER BY at, id;

-- one_at_a_time --
-- Tries of one account are judged one after another: many at once must not all be the first.
SELECT pg_advisory_xact_lock(7241, hashtext(%(account)s)) AS locked;

-- insert_attempt --
-- Keep one try. A try counts as a failure before the password is looked at, so that a thousand at once count too.
INSERT INTO sign_in_attempt (organisation_id, person_id, name_mark, at, outcome, door, address, client, device,
                             password_mark)
VALUES (%(organisation)s, %(person)s, %(name_mark)s, %(at)s, %(outcome)s, %(door)s, %(address)s, %(client)s,
        %(device)s, %(password_mark)s)
RETURNING id;

-- settle_attempt --
-- What became of a try.
UPDATE sign_in_attempt SET outcome = %(outcome)s WHERE organisation_id = %(organisation)s AND id = %(attempt)s;

-- forgive_attempt --
-- The password was right: the try was no failure.
DELETE FROM sign_in_attempt WHERE organisation_id = %(organisation)s AND id = %(attempt)s;

-- recent_attempts --
-- A person's tries, newest first, with the name of the device where it is a known one (R87).
SELECT attempt.at, attempt.outcome, attempt.door, host(attempt.address) AS address, attempt.client,
       device.name AS device
  FROM sign_in_attempt AS attempt
  LEFT JOIN known_device AS device
         ON device.organisation_id = attempt.organisation_id AND device.person_id = attempt.person_id
        AND device.token_hash = attempt.device
 WHERE attempt.organisation_id = %(organisation)s AND attempt.person_id = %(person)s AND attempt.at > %(since)s
 ORDER BY attempt.at DESC, attempt.id DESC
 LIMIT %(limit)s;

-- forget_attempts --
-- Tries older than we keep them.
DELETE FROM sign_in_attempt WHERE organisation_id = %(organisation)s AND at < %(before)s;

-- forget_tickets --
-- Tickets that ran out.
DELETE FROM sign_in_ticket WHERE organisation_id = %(organisation)s AND expires_at < %(before)s;

-- source_failures --
-- How often a network has failed lately. Failures leak away (throttle.leaked is the same sum).
SELECT greatest(0, failures - %(per_hour)s * extract(epoch FROM %(now)s - updated_at) / 3600)::float8 AS failures
  FROM sign_in_source
 WHERE source = %(source)s;

-- add_source_failure --
-- A network has failed once more.
INSERT INTO sign_in_source AS known (source, failures, updated_at) VALUES (%(source)s, 1, %(now)s)
ON CONFLICT (source) DO UPDATE
   SET failures = greatest(0, known.failures
                              - %(per_hour)s * extract(epoch FROM excluded.updated_at - known.updated_at) / 3600) + 1,
       updated_at = excluded.updated_at;

-- forget_sources --
-- Networks whose failures have leaked away.
DELETE FROM sign_in_source WHERE updated_at < %(before)s;

-- find_device --
-- A device that this person has signed in from before.
SELECT name FROM known_device
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s AND token_hash = %(token_hash)s
   AND last_seen_at > %(since)s;

-- keep_device --
-- A person has signed in from this device.
INSERT INTO known_device (organisation_id, person_id, token_hash, name, first_seen_at, last_seen_at)
VALUES (%(organisation)s, %(person)s, %(token_hash)s, %(name)s, %(now)s, %(now)s)
ON CONFLICT (organisation_id, person_id, token_hash) DO UPDATE
   SET last_seen_at = excluded.last_seen_at, name = excluded.name;

-- forget_devices --
-- After a password reset by somebody else, every device is a stranger again.
DELETE FROM known_device WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- insert_ticket --
-- The password was right; this lets the second step be taken.
INSERT INTO sign_in_ticket (organisation_id, token_hash, person_id, state, expires_at)
VALUES (%(organisation)s, %(token_hash)s, %(person)s, %(state)s, %(expires_at)s);

-- use_ticket --
-- One try on a ticket. No row when it ran out, was spent, or the person's standing has changed since.
UPDATE sign_in_ticket AS ticket
   SET tries = tries + 1
  FROM person
  JOIN credential ON credential.organisation_id = person.organisation_id AND credential.person_id = person.id
  LEFT JOIN totp_factor AS totp ON totp.organisation_id = person.organisation_id AND totp.person_id = person.id
  LEFT JOIN mailbox ON mailbox.organisation_id = person.organisation_id AND mailbox.person_id = person.id
 WHERE ticket.organisation_id = %(organisation)s AND ticket.token_hash = %(token_hash)s
   AND ticket.expires_at > %(now)s AND ticket.tries < %(tries)s
   AND person.organisation_id = ticket.organisation_id AND person.id = ticket.person_id
RETURNING ticket.state, ticket.tries, person.id AS person, person.status, person.given_name, person.family_name,
          person.title, mailbox.address, totp.secret_sealed, totp.last_step, totp.confirmed_at, credential.must_change;

-- look_at_ticket --
-- What a ticket is for, without using a try.
SELECT ticket.state, ticket.person_id AS person, mailbox.address, totp.secret_sealed, totp.confirmed_at
  FROM sign_in_ticket AS ticket
  LEFT JOIN totp_factor AS totp
         ON totp.organisation_id = ticket.organisation_id AND totp.person_id = ticket.person_id
  LEFT JOIN mailbox ON mailbox.organisation_id = ticket.organisation_id AND mailbox.person_id = ticket.person_id
 WHERE ticket.organisation_id = %(organisation)s AND ticket.token_hash = %(token_hash)s
   AND ticket.expires_at > %(now)s AND ticket.tries < %(tries)s;

-- delete_ticket --
-- A ticket is used once.
DELETE FROM sign_in_ticket WHERE organisation_id = %(organisation)s AND token_hash = %(token_hash)s;

-- delete_tickets_of --
-- Whatever was begun with the old password is over.
DELETE FROM sign_in_ticket WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- offer_factor --
-- A secret that is not yet confirmed. Touches no row when a confirmed one is there: that must be removed first.
INSERT INTO totp_factor (organisation_id, person_id, secret_sealed, created_at)
VALUES (%(organisation)s, %(person)s, %(secret_sealed)s, %(now)s)
ON CONFLICT (organisation_id, person_id) DO UPDATE
   SET secret_sealed = excluded.secret_sealed, created_at = excluded.created_at, last_step = 0
 WHERE totp_factor.confirmed_at IS NULL;

-- factor_of --
-- A person's authenticator secret.
SELECT secret_sealed, last_step, confirmed_at FROM totp_factor
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- spend_step --
-- A code counts once: its step must be later than the last one used. The first code also confirms the secret.
UPDATE totp_factor
   SET last_step = %(step)s, confirmed_at = coalesce(confirmed_at, %(now)s)
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s AND last_step < %(step)s;

-- remove_factor --
-- The authenticator is gone; a new one has to be set at the next sign-in.
DELETE FROM totp_factor WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- credential_of --
-- A person's password, as stored.
SELECT password_hash, set_at, must_change FROM credential
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- set_credential --
-- A person's password from now on.
INSERT INTO credential (organisation_id, person_id, password_hash, set_at, must_change)
VALUES (%(organisation)s, %(person)s, %(password_hash)s, %(now)s, %(must_change)s)
ON CONFLICT (organisation_id, person_id) DO UPDATE
   SET password_hash = excluded.password_hash, set_at = excluded.set_at, must_change = excluded.must_change;

-- rehash_credential --
-- The same password under today's settings, unless it was changed meanwhile.
UPDATE credential SET password_hash = %(password_hash)s
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s AND password_hash = %(before)s;

-- remember_password --
-- An old password, so that it is not chosen again soon.
INSERT INTO past_password (organisation_id, person_id, set_at, password_hash)
VALUES (%(organisation)s, %(person)s, %(set_at)s, %(password_hash)s)
ON CONFLICT DO NOTHING;

-- past_passwords --
-- The last few old passwords.
SELECT password_hash FROM past_password
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s
 ORDER BY set_at DESC
 LIMIT %(limit)s;

-- forget_past_passwords --
-- Old passwords beyond those that we must compare with.
DELETE FROM past_password AS old
 WHERE old.organisation_id = %(organisation)s AND old.person_id = %(person)s
   AND old.set_at NOT IN (SELECT set_at FROM past_password
                           WHERE organisation_id = %(organisation)s AND person_id = %(person)s
                           ORDER BY set_at DESC LIMIT %(keep)s);

-- names_for_password --
-- What a person's password may not contain.
SELECT person.given_name, person.family_name, mailbox.address, organisation.name, organisation.code,
       EXISTS (SELECT FROM role_grant WHERE role_grant.organisation_id = person.organisation_id
                                        AND role_grant.person_id = person.id) AS is_administrator
  FROM person
  JOIN organisation ON organisation.id = person.organisation_id
  LEFT JOIN mailbox ON mailbox.organisation_id = person.organisation_id AND mailbox.person_id = person.id
 WHERE person.organisation_id = %(organisation)s AND person.id = %(person)s;

-- insert_session --
-- A browser is signed in.
INSERT INTO session (organisation_id, person_id, token_hash, created_at, last_used_at, idle_seconds, absolute_until,
                     shared_computer, address, client)
VALUES (%(organisation)s, %(person)s, %(token_hash)s, %(now)s, %(now)s, %(idle_seconds)s, %(absolute_until)s,
        %(shared_computer)s, %(address)s, %(client)s)
RETURNING id;

-- resume_session --
-- A session by its token, if it is still good in every respect; its use is noted once a minute at most.
WITH found AS (
  SELECT session.id, session.person_id, session.shared_computer, session.created_at, session.absolute_until,
         session.idle_seconds, session.last_used_at, person.status, person.given_name, person.family_name,
         person.title, mailbox.address, credential.must_change
    FROM session
    JOIN person ON person.organisation_id = session.organisation_id AND person.id = session.person_id
    JOIN credential ON credential.organisation_id = person.organisation_id AND credential.person_id = person.id
    LEFT JOIN mailbox ON mailbox.organisation_id = person.organisation_id AND mailbox.person_id = person.id
   WHERE session.organisation_id = %(organisation)s AND session.token_hash = %(token_hash)s
     AND session.revoked_at IS NULL
     AND session.absolute_until > %(now)s
     AND session.last_used_at + session.idle_seconds * interval '1 second' > %(now)s
     AND (person.sessions_not_before IS NULL OR session.created_at > person.sessions_not_before)
     AND person.status = ANY(%(statuses)s)
), touched AS (
  UPDATE session SET last_used_at = %(now)s
    FROM found
   WHERE session.organisation_id = %(organisation)s AND session.id = found.id
     AND found.last_used_at < %(touch_before)s
)
SELECT * FROM found;

-- is_session_open --
-- Whether a session, by its number, is still good in every respect; this does not count as use.
SELECT EXISTS (
         SELECT FROM session
           JOIN person ON person.organisation_id = session.organisation_id AND person.id = session.person_id
          WHERE session.organisation_id = %(organisation)s AND session.id = %(session)s
            AND session.person_id = %(person)s AND session.revoked_at IS NULL AND session.absolute_until > %(now)s
            AND session.last_used_at + session.idle_seconds * interval '1 second' > %(now)s
            AND (person.sessions_not_before IS NULL OR session.created_at > person.sessions_not_before)
            AND person.status = ANY(%(statuses)s)
       ) AS good;

-- end_session --
-- One session is over. No row when it was already.
UPDATE session SET revoked_at = %(now)s
 WHERE organisation_id = %(organisation)s AND revoked_at IS NULL
   AND (token_hash = %(token_hash)s OR (id = %(session)s AND person_id = %(person)s))
RETURNING id, person_id;

-- count_sessions --
-- How many sessions of a person could still be used.
SELECT count(*) AS sessions
  FROM session
  JOIN person ON person.organisation_id = session.organisation_id AND person.id = session.person_id
 WHERE session.organisation_id = %(organisation)s AND session.person_id = %(person)s AND session.revoked_at IS NULL
   AND session.absolute_until > %(now)s
   AND (person.sessions_not_before IS NULL OR session.created_at > person.sessions_not_before);

-- sessions_of --
-- A person's sessions that could still be used, newest first.
SELECT session.id, session.created_at, session.last_used_at, host(session.address) AS address, session.client,
       session.shared_computer
  FROM session
  JOIN person ON person.organisation_id = session.organisation_id AND person.id = session.person_id
 WHERE session.organisation_id = %(organisation)s AND session.person_id = %(person)s AND session.revoked_at IS NULL
   AND session.absolute_until > %(now)s
   AND session.last_used_at + session.idle_seconds * interval '1 second' > %(now)s
   AND (person.sessions_not_before IS NULL OR session.created_at > person.sessions_not_before)
 ORDER BY session.created_at DESC
 LIMIT 100;

-- forget_sessions --
-- Sessions that ended long ago.
DELETE FROM session WHERE organisation_id = %(organisation)s AND absolute_until < %(before)s;

-- may_use_mail_clients --
-- Whether the person's organisation has granted them mail clients (R193).
SELECT mail_clients AND status = 'active' AS allowed FROM person
 WHERE organisation_id = %(organisation)s AND id = %(person)s;

-- insert_app_password --
-- A new app password.
INSERT INTO app_password (organisation_id, person_id, name, secret_hash, scopes, created_at, expires_at)
VALUES (%(organisation)s, %(person)s, %(name)s, %(secret_hash)s, %(scopes)s, %(now)s, %(expires_at)s)
RETURNING id;

-- count_app_passwords --
-- How many app passwords of a person are in force.
SELECT count(*) AS passwords FROM app_password
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s AND revoked_at IS NULL AND expires_at > %(now)s;

-- check_app_password --
-- Whose app password it is, if everything about it is in force; its use is noted once a minute at most.
WITH found AS (
  SELECT app.id, app.name, app.last_used_at, person.id AS person, person.given_name, person.family_name, person.title
    FROM mailbox
    JOIN person ON person.organisation_id = mailbox.organisation_id AND person.id = mailbox.person_id
    JOIN app_password AS app ON app.organisation_id = person.organisation_id AND app.person_id = person.id
   WHERE mailbox.organisation_id = %(organisation)s AND mailbox.id = %(mailbox)s
     AND person.status = 'active' AND person.mail_clients
     AND app.secret_hash = %(secret_hash)s AND app.revoked_at IS NULL AND app.expires_at > %(now)s
     AND %(scope)s = ANY(app.scopes)
), touched AS (
  UPDATE app_password AS app SET last_used_at = %(now)s, last_used_from = %(address)s
    FROM found
   WHERE app.organisation_id = %(organisation)s AND app.id = found.id
     AND (found.last_used_at IS NULL OR found.last_used_at < %(touch_before)s)
)
SELECT * FROM found;

-- app_passwords_of --
-- A person's app passwords, newest first, those revoked or expired last.
SELECT id, name, scopes, created_at, expires_at, last_used_at, host(last_used_from) AS last_used_from, revoked_at
  FROM app_password
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s
 ORDER BY revoked_at IS NOT NULL, created_at DESC, id DESC
 LIMIT 200;

-- revoke_app_password --
-- An app password opens nothing any more. No row when it did not.
UPDATE app_password SET revoked_at = %(now)s
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s AND id = %(app_password)s AND revoked_at IS NULL
RETURNING id;

-- revocations_since --
-- What was revoked lately, for whoever may have missed the notification.
SELECT id, person_id, app_password_id, session_id FROM revocation WHERE at > %(since)s ORDER BY id;

-- database_time --
-- The database's own time: `revocation.at` is written by it.
SELECT clock_timestamp() AS now;

-- forget_revocations --
-- Revocations that every process has seen long ago.
DELETE FROM revocation WHERE at < %(before)s;

-- name_of --
-- A person's name, for the record.
SELECT given_name, family_name, title FROM person WHERE organisation_id = %(organisation)s AND id = %(person)s;
