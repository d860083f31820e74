-- Every statement of the gateway: verdicts, their tokens, and quarantine. The organisation comes first, always.

-- intakes --
-- The public halves that a message is sealed to: its mailboxes', and the organisation's own (mailbox_id NULL); and
-- which mailboxes do something by themselves with what arrives (R60, R162).
SELECT id AS mailbox_id, intake_public,
       EXISTS (SELECT 1 FROM autoreply
                WHERE autoreply.organisation_id = mailbox.organisation_id AND autoreply.mailbox_id = mailbox.id
                  AND autoreply.is_on)
       OR EXISTS (SELECT 1 FROM forwarding
                   WHERE forwarding.organisation_id = mailbox.organisation_id AND forwarding.mailbox_id = mailbox.id
                     AND forwarding.state = 'allowed') AS acts
  FROM mailbox
 WHERE organisation_id = %(organisation)s AND id = ANY(%(mailboxes)s)
 UNION ALL
(SELECT NULL, intake_public, false
   FROM keystore.organisation_key
  WHERE organisation_id = %(organisation)s AND retired_at IS NULL
  ORDER BY version DESC
  LIMIT 1);

-- insert_verdict --
-- Write a verdict on mail that comes in or goes out, what was decided for each recipient, and the tokens it is found by:
-- one round trip.
WITH written AS (
       INSERT INTO verdict (organisation_id, trace, at, door, size, codes, details)
       VALUES (%(organisation)s, %(trace)s, %(at)s, %(door)s, %(size)s, %(codes)s, %(details)s)
     ),
     recipients AS (
       INSERT INTO verdict_recipient
              (organisation_id, trace, number, mailbox_id, decided, action, card, card_version, unsure)
       SELECT %(organisation)s, %(trace)s, number - 1, mailbox_id, decided, action, card, card_version, unsure
         FROM unnest(%(mailboxes)s::bigint[], %(decided)s::text[], %(actions)s::text[], %(cards)s::text[],
                     %(versions)s::text[], %(unsure)s::boolean[])
              WITH ORDINALITY AS given (mailbox_id, decided, action, card, card_version, unsure, number)
     )
INSERT INTO verdict_token (organisation_id, kind, token, at, trace)
SELECT %(organisation)s, kind, token, %(at)s, %(trace)s
  FROM unnest(%(kinds)s::text[], %(tokens)s::bytea[]) AS given (kind, token);

-- insert_held --
-- Hold a message for some mailboxes of an organisation.
WITH held AS (
       INSERT INTO held_message
              (organisation_id, trace, object_id, wrapped, size, held_at, expires_at, risk, card, card_version, unsure)
       VALUES (%(organisation)s, %(trace)s, %(object)s, %(wrapped)s, %(size)s, %(at)s, %(expires)s, %(risk)s, %(card)s,
               %(card_version)s, %(unsure)s)
       RETURNING organisation_id, id
     ),
     kept_from AS (
       INSERT INTO held_recipient (organisation_id, held_id, mailbox_id)
       SELECT held.organisation_id, held.id, mailbox.id
         FROM held, unnest(%(mailboxes)s::bigint[]) AS mailbox (id)
     )
SELECT id FROM held;

-- verdict --
-- One verdict by its trace.
SELECT trace, at, door, size, details
  FROM verdict
 WHERE organisation_id = %(organisation)s AND trace = %(trace)s;

-- verdicts_by_token --
-- Verdicts with a token, newest first, a page at a time.
SELECT verdict.trace, verdict.at, verdict.door, verdict.size, verdict.details
  FROM verdict_token AS token
  JOIN verdict ON verdict.organisation_id = token.organisation_id AND verdict.trace = token.trace
 WHERE token.organisation_id = %(organisation)s AND token.token = %(token)s AND token.kind = %(kind)s
   AND token.at >= %(since)s AND token.at < %(until)s
   AND (token.at, token.trace) < (%(before_at)s, %(before_trace)s)
 ORDER BY token.at DESC, token.trace DESC
 LIMIT %(limit)s;

-- verdicts --
-- Every verdict of a stretch of time, newest first, a page at a time.
SELECT trace, at, door, size, details
  FROM verdict
 WHERE organisation_id = %(organisation)s AND at >= %(since)s AND at < %(until)s
   AND (at, trace) < (%(before_at)s, %(before_trace)s)
 ORDER BY at DESC, trace DESC
 LIMIT %(limit)s;

-- forget_verdicts --
-- Remove verdicts whose time is over; what is still held keeps its own. R189.
DELETE FROM verdict
 WHERE organisation_id = %(organisation)s AND at < %(before)s
   AND NOT EXISTS (
         SELECT 1 FROM held_message AS held
          WHERE held.organisation_id = verdict.organisation_id AND held.trace = verdict.trace AND held.state = 'held'
       );

-- forget_held --
-- Remove what quarantine remembers of messages that were settled long ago.
DELETE FROM held_message
 WHERE organisation_id = %(organisation)s AND state <> 'held' AND settled_at < %(before)s;

-- held_page --
-- What waits in quarantine, newest first, with the sealed details of its verdict.
SELECT held.id, held.trace, held.size, held.held_at, held.expires_at, held.risk, held.card, held.card_version,
       held.unsure, held.state, verdict.details, verdict.door, verdict.at,
       array(SELECT mailbox_id FROM held_recipient AS kept
              WHERE kept.organisation_id = held.organisation_id AND kept.held_id = held.id
              ORDER BY mailbox_id) AS mailboxes
  FROM held_message AS held
  JOIN verdict ON verdict.organisation_id = held.organisation_id AND verdict.trace = held.trace
 WHERE held.organisation_id = %(organisation)s AND held.state = 'held'
   AND (held.held_at, held.id) < (%(before_at)s, %(before_id)s)
 ORDER BY held.held_at DESC, held.id DESC
 LIMIT %(limit)s;

-- held --
-- One held message, whatever became of it.
SELECT held.id, held.trace, held.size, held.held_at, held.expires_at, held.risk, held.card, held.card_version,
       held.unsure, held.state, verdict.details, verdict.door, verdict.at,
       array(SELECT mailbox_id FROM held_recipient AS kept
              WHERE kept.organisation_id = held.organisation_id AND kept.held_id = held.id
              ORDER BY mailbox_id) AS mailboxes
  FROM held_message AS held
  JOIN verdict ON verdict.organisation_id = held.organisation_id AND verdict.trace = held.trace
 WHERE held.organisation_id = %(organisation)s AND held.id = %(held)s;

-- lock_held --
-- Take a held message to settle it: the second who comes waits, and then finds it settled.
SELECT id, trace, object_id, wrapped, size, state
  FROM held_message
 WHERE organisation_id = %(organisation)s AND id = %(held)s
   FOR UPDATE;

-- held_mailboxes --
-- Whom a held message is kept from.
SELECT mailbox_id
  FROM held_recipient
 WHERE organisation_id = %(organisation)s AND held_id = %(held)s
 ORDER BY mailbox_id;

-- settle_held --
-- A held message is released, deleted or expired: from here quarantine has no key to it.
UPDATE held_message
   SET state = %(state)s, settled_at = %(at)s, object_id = NULL, wrapped = NULL
 WHERE organisation_id = %(organisation)s AND id = %(held)s AND state = 'held';

-- expired_held --
-- What has been held for as long as it may; those that another worker has in hand are left to it.
SELECT id, trace
  FROM held_message
 WHERE organisation_id = %(organisation)s AND state = 'held' AND expires_at <= %(now)s
 ORDER BY expires_at
 LIMIT %(limit)s
   FOR UPDATE SKIP LOCKED;

-- count_held --
-- How many wait, and since when the oldest does (R145).
SELECT count(*) AS held, min(held_at) AS oldest
  FROM held_message
 WHERE organisation_id = %(organisation)s AND state = 'held';

