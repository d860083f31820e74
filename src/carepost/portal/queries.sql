-- Every statement of the portal. The organisation comes first, always; only links and budgets are of none.

-- insert_message --
-- A new secure message, and the link that leads to it.
WITH made AS (
       INSERT INTO secure_message (organisation_id, kind, mailbox_id, outgoing_id, seq, trace, lookup, verifier_hash,
              level, made_at, expires_at, object_id, wrapped, salt, details)
       VALUES (%(organisation)s, %(kind)s, %(mailbox)s, %(outgoing)s, %(seq)s, %(trace)s, %(lookup)s, %(verifier_hash)s,
               %(level)s, %(at)s, %(expires)s, %(object)s, %(wrapped)s, %(salt)s, %(details)s)
       RETURNING organisation_id, id, lookup
     ),
     linked AS (
       INSERT INTO portal_link (lookup, owner_organisation, message_id)
       SELECT lookup, organisation_id, id FROM made
     )
SELECT id FROM made;

-- whose --
-- Where a link leads, before it is known for whom to act.
SELECT owner_organisation, message_id FROM portal_link WHERE lookup = %(lookup)s;

-- message --
-- One secure message.
SELECT id, kind, mailbox_id, outgoing_id, seq, trace, lookup, verifier_hash, level, state, made_at, expires_at,
       frozen_until, replies, reply_octets, object_id, wrapped, salt, details
  FROM secure_message
 WHERE organisation_id = %(organisation)s AND id = %(message)s;

-- messages_of --
-- The links of one outgoing message.
SELECT id, kind, mailbox_id, outgoing_id, seq, trace, lookup, verifier_hash, level, state, made_at, expires_at,
       frozen_until, replies, reply_octets, object_id, wrapped, salt, details
  FROM secure_message
 WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s
 ORDER BY seq, id;

-- body --
-- The sealed content, while there is a key to it.
SELECT o.sealed, o.digest
  FROM secure_message AS m
  JOIN object AS o ON o.organisation_id = m.organisation_id AND o.id = m.object_id
 WHERE m.organisation_id = %(organisation)s AND m.id = %(message)s;

-- close --
-- Revoke or expire: the key goes at once. Of two at the same time one does it.
UPDATE secure_message
   SET state = %(state)s, object_id = NULL, wrapped = NULL, salt = NULL
 WHERE organisation_id = %(organisation)s AND id = %(message)s AND state = 'open'
RETURNING seq;

-- end_sessions --
-- Nobody is in it any more.
DELETE FROM portal_session WHERE organisation_id = %(organisation)s AND message_id = %(message)s;

-- due --
-- Messages whose time is over; taken by one worker at a time.
SELECT id
  FROM secure_message
 WHERE organisation_id = %(organisation)s AND state = 'open' AND expires_at <= %(now)s
 ORDER BY expires_at
 LIMIT %(limit)s
   FOR UPDATE SKIP LOCKED;

-- extend --
-- More time, for what is still open.
UPDATE secure_message
   SET expires_at = %(expires)s
 WHERE organisation_id = %(organisation)s AND id = %(message)s AND state = 'open' AND expires_at > %(now)s
   AND made_at < %(expires)s
RETURNING seq;

-- count_failure --
-- One more wrong code or phrase of this day.
UPDATE secure_message
   SET failures = CASE WHEN failures_since IS NULL OR failures_since <= %(since)s THEN 1 ELSE failures + 1 END,
       failures_since = CASE WHEN failures_since IS NULL OR failures_since <= %(since)s THEN %(now)s ELSE failures_since END
 WHERE organisation_id = %(organisation)s AND id = %(message)s
RETURNING failures;

-- forgive_failure --
-- It was right after all.
UPDATE secure_message
   SET failures = greatest(failures - 1, 0)
 WHERE organisation_id = %(organisation)s AND id = %(message)s;

-- lock_message --
-- One try at a time: whoever comes at the same moment waits.
SELECT id FROM secure_message
 WHERE organisation_id = %(organisation)s AND id = %(message)s
   FOR NO KEY UPDATE;

-- freeze --
-- Too many were wrong: nobody gets in for a while. Once: the first who does it tells the sender.
UPDATE secure_message
   SET frozen_until = %(until)s, failures = 0, failures_since = NULL
 WHERE organisation_id = %(organisation)s AND id = %(message)s AND (frozen_until IS NULL OR frozen_until <= %(now)s)
RETURNING id;

-- insert_session --
-- A browser begins with one message.
INSERT INTO portal_session (organisation_id, message_id, token_hash, step, begun_at, seen_at)
VALUES (%(organisation)s, %(message)s, %(token)s, 'code', %(now)s, %(now)s);

-- session --
-- Where a browser stands; seen now, if it was not away for too long.
UPDATE portal_session
   SET seen_at = %(now)s
 WHERE organisation_id = %(organisation)s AND message_id = %(message)s AND token_hash = %(token)s
   AND seen_at > %(idle)s AND begun_at > %(begun)s
RETURNING step, sealed_key, begun_at;

-- step_on --
-- A proof was given: the browser gets a new token, once for each proof.
UPDATE portal_session
   SET step = %(next)s, token_hash = %(fresh)s, sealed_key = coalesce(%(sealed_key)s, sealed_key), begun_at = %(now)s,
       seen_at = %(now)s
 WHERE organisation_id = %(organisation)s AND message_id = %(message)s AND token_hash = %(token)s AND step = %(step)s
RETURNING step;

-- end_session --
-- The browser leaves.
DELETE FROM portal_session
 WHERE organisation_id = %(organisation)s AND message_id = %(message)s AND token_hash = %(token)s;

-- forget_sessions --
-- Sessions, codes and challenges that nobody can use any more.
WITH sessions AS (
       DELETE FROM portal_session WHERE organisation_id = %(organisation)s AND (seen_at < %(idle)s OR begun_at < %(begun)s)
     ),
     challenges AS (
       DELETE FROM portal_challenge WHERE organisation_id = %(organisation)s AND expires_at < %(codes)s
     )
DELETE FROM portal_code WHERE organisation_id = %(organisation)s AND expires_at < %(codes)s;

-- count_codes --
-- How many codes were sent for a message since then. Its row is locked: nobody else counts meanwhile.
SELECT (SELECT count(*) FROM portal_code AS c
         WHERE c.organisation_id = m.organisation_id AND c.message_id = m.id AND c.channel = %(channel)s
           AND c.made_at > %(since)s) AS sent
  FROM secure_message AS m
 WHERE m.organisation_id = %(organisation)s AND m.id = %(message)s
   FOR NO KEY UPDATE OF m;

-- insert_code --
-- A new code for a browser; older ones of the same browser count no more.
WITH older AS (
       UPDATE portal_code SET state = 'replaced'
        WHERE organisation_id = %(organisation)s AND message_id = %(message)s AND token_hash = %(token)s AND state = 'sent'
     )
INSERT INTO portal_code (organisation_id, message_id, token_hash, channel, code_hash, made_at, expires_at)
VALUES (%(organisation)s, %(message)s, %(token)s, %(channel)s, %(code_hash)s, %(now)s, %(expires)s);

-- try_code --
-- Count a try at this browser's code before it is looked at. The row stays locked: one after another.
UPDATE portal_code
   SET tries = tries + 1
 WHERE organisation_id = %(organisation)s AND message_id = %(message)s AND token_hash = %(token)s
   AND channel = %(channel)s AND state = 'sent' AND expires_at > %(now)s AND tries < %(tries)s
RETURNING id, code_hash;

-- use_code --
-- It was right: once.
UPDATE portal_code
   SET state = 'used'
 WHERE organisation_id = %(organisation)s AND message_id = %(message)s AND id = %(id)s AND state = 'sent'
RETURNING id;

-- insert_event --
-- Something happened to a message.
INSERT INTO portal_event (organisation_id, message_id, at, what, details)
VALUES (%(organisation)s, %(message)s, %(at)s, %(what)s, %(details)s);

-- events --
-- What happened to some messages, in order.
SELECT message_id, at, what, details
  FROM portal_event
 WHERE organisation_id = %(organisation)s AND message_id = ANY(%(messages)s)
 ORDER BY number
 LIMIT %(limit)s;

-- spend --
-- One more of what a key may have in a window of time; how many there were with it.
INSERT INTO portal_budget AS b (key, begun_at, spent)
VALUES (%(key)s, %(now)s, 1)
    ON CONFLICT (key) DO UPDATE
   SET spent = CASE WHEN b.begun_at <= %(since)s THEN 1 ELSE b.spent + 1 END,
       begun_at = CASE WHEN b.begun_at <= %(since)s THEN %(now)s ELSE b.begun_at END
RETURNING spent;

-- spent --
-- How many there were already.
SELECT spent FROM portal_budget WHERE key = %(key)s AND begun_at > %(since)s;

-- forget_budgets --
-- Windows that are over.
DELETE FROM portal_budget WHERE begun_at < %(before)s;

-- reply --
-- Count a reply, if one more of this size is allowed.
UPDATE secure_message
   SET replies = replies + 1, reply_octets = reply_octets + %(octets)s
 WHERE organisation_id = %(organisation)s AND id = %(message)s AND state = 'open' AND expires_at > %(now)s
   AND replies < %(replies)s AND reply_octets + %(octets)s <= %(most)s
RETURNING replies;

-- uncount_reply --
-- It did not arrive.
UPDATE secure_message
   SET replies = replies - 1, reply_octets = reply_octets - %(octets)s
 WHERE organisation_id = %(organisation)s AND id = %(message)s;

-- insert_request --
-- Somebody asks for access, if not too many have.
INSERT INTO portal_request (organisation_id, message_id, asked_at, details)
SELECT %(organisation)s, %(message)s, %(now)s, %(details)s
 WHERE (SELECT count(*) FROM portal_request WHERE organisation_id = %(organisation)s AND message_id = %(message)s) < %(most)s
RETURNING id;

-- requests --
-- Who asked for access to the links of an outgoing message.
SELECT r.id, r.message_id, r.state, r.asked_at, r.details
  FROM portal_request AS r
  JOIN secure_message AS m ON m.organisation_id = r.organisation_id AND m.id = r.message_id
 WHERE r.organisation_id = %(organisation)s AND m.outgoing_id = %(outgoing)s
 ORDER BY r.id;

-- settle_request --
-- Approve or refuse, once.
UPDATE portal_request
   SET state = %(state)s, settled_at = %(now)s
 WHERE organisation_id = %(organisation)s AND message_id = %(message)s AND id = %(request)s AND state = 'waiting'
RETURNING details;

-- invitations --
-- Links that were made for people to write to a mailbox.
SELECT id, kind, mailbox_id, outgoing_id, seq, trace, lookup, verifier_hash, level, state, made_at, expires_at,
       frozen_until, replies, reply_octets, object_id, wrapped, salt, details
  FROM secure_message
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND kind = 'invitation'
 ORDER BY id DESC
 LIMIT %(limit)s;
