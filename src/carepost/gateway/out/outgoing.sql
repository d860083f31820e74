-- Every statement about mail that goes out. The organisation comes first, always; outgoing_due alone is everybody's.

-- note_press --
-- This form was sent now. Nothing is written when it was before; a press at the same moment waits for the other.
INSERT INTO outgoing_press (organisation_id, token, at)
VALUES (%(organisation)s, %(token)s, %(at)s)
    ON CONFLICT (organisation_id, token) DO NOTHING;

-- forget_presses --
-- Nobody presses a form twice that lay there so long.
DELETE FROM outgoing_press WHERE organisation_id = %(organisation)s AND at < %(before)s;

-- insert_outgoing --
-- A message is handed in. Its recipients and questions follow in the same transaction.
INSERT INTO outgoing (organisation_id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, size,
                      object_id, wrapped, details)
VALUES (%(organisation)s, %(trace)s, %(mailbox)s, %(person)s, %(door)s, %(state)s, %(at)s, %(release_at)s, %(size)s,
        %(object)s, %(wrapped)s, %(details)s)
RETURNING id;

-- insert_recipients --
-- Each recipient of it, in the order of the envelope.
INSERT INTO outgoing_recipient (organisation_id, outgoing_id, seq, route, state, card, card_version, unsure, least,
                                mailbox_id, mailbox_organisation, token, changed_at, details)
SELECT %(organisation)s, %(outgoing)s, seq, route, state, card, card_version, unsure, least, mailbox_id,
       mailbox_organisation, token, %(at)s, details
  FROM unnest(%(seqs)s::smallint[], %(routes)s::text[], %(states)s::text[], %(cards)s::text[], %(versions)s::text[],
              %(unsures)s::boolean[], %(leasts)s::text[], %(mailboxes)s::bigint[], %(organisations)s::bigint[],
              %(tokens)s::bytea[], %(details)s::bytea[])
       AS given (seq, route, state, card, card_version, unsure, least, mailbox_id, mailbox_organisation, token, details);

-- delete_recipients --
-- They are written anew: the sender's answers have changed who gets it, and how.
DELETE FROM outgoing_recipient WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s;

-- insert_question --
-- What its sender was asked, and the answer if it was given already.
INSERT INTO outgoing_question (organisation_id, outgoing_id, number, card, card_version, unsure, asked_at, answered_at,
                               answered_by, choice, details, reason)
VALUES (%(organisation)s, %(outgoing)s,
        (SELECT coalesce(max(number) + 1, 0) FROM outgoing_question
          WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s),
        %(card)s, %(version)s, %(unsure)s, %(at)s, %(answered_at)s, %(person)s, %(choice)s, %(details)s, %(reason)s);

-- answer_question --
-- An answer to one question of a message.
UPDATE outgoing_question
   SET answered_at = %(at)s, answered_by = %(person)s, choice = %(choice)s, reason = %(reason)s
 WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s AND number = %(number)s
   AND answered_at IS NULL;

-- insert_due --
-- It goes at that time: whoever releases looks here.
INSERT INTO outgoing_due (owner_organisation, outgoing_id, due_at)
VALUES (%(organisation)s, %(outgoing)s, %(due_at)s)
    ON CONFLICT (owner_organisation, outgoing_id) DO UPDATE SET due_at = excluded.due_at, claimed_until = NULL, tries = 0;

-- delete_due --
-- It has gone, or will not go.
DELETE FROM outgoing_due WHERE owner_organisation = %(organisation)s AND outgoing_id = %(outgoing)s;

-- claim_due --
-- Take up to %(limit)s messages whose time has come, of any organisation, for a while.
-- SKIP LOCKED: two workers never take the same one, and neither waits for the other.
UPDATE outgoing_due AS due
   SET claimed_until = %(until)s, tries = due.tries + 1
  FROM (SELECT owner_organisation, outgoing_id
          FROM outgoing_due
         WHERE due_at <= %(now)s AND (claimed_until IS NULL OR claimed_until <= %(now)s)
         ORDER BY due_at
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED) AS next
 WHERE due.owner_organisation = next.owner_organisation AND due.outgoing_id = next.outgoing_id
RETURNING due.owner_organisation AS organisation, due.outgoing_id AS outgoing, due.tries;

-- postpone_due --
-- It could not be released just now: again at that time.
UPDATE outgoing_due SET due_at = %(due_at)s, claimed_until = NULL
 WHERE owner_organisation = %(organisation)s AND outgoing_id = %(outgoing)s;

-- next_due --
-- When the next message is due, and since when the oldest should have gone.
SELECT min(greatest(due_at, coalesce(claimed_until, due_at))) AS at FROM outgoing_due;

-- lock_outgoing --
-- Take a message to change it: of two who come, the second waits and then finds what the first has done.
SELECT id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, settled_at, size, object_id, wrapped,
       details
  FROM outgoing
 WHERE organisation_id = %(organisation)s AND id = %(outgoing)s
   FOR UPDATE;

-- outgoing --
-- One message, to look at.
SELECT id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, settled_at, size, object_id, wrapped,
       details
  FROM outgoing
 WHERE organisation_id = %(organisation)s AND id = %(outgoing)s;

-- outgoing_page --
-- What a mailbox has sent, newest first.
SELECT id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, settled_at, size, object_id, wrapped,
       details
  FROM outgoing
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND id < %(before)s
 ORDER BY id DESC
 LIMIT %(limit)s;

-- outgoing_undelivered --
-- What a mailbox has sent that did not arrive somewhere and that nobody has looked at yet (R165), newest first.
SELECT id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, settled_at, size, object_id, wrapped,
       details
  FROM outgoing AS o
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s
   AND EXISTS (SELECT FROM outgoing_recipient AS r
                WHERE r.organisation_id = o.organisation_id AND r.outgoing_id = o.id
                  AND r.state IN ('failed', 'expired', 'refused') AND r.cleared_at IS NULL)
 ORDER BY id DESC
 LIMIT %(limit)s;

-- count_undelivered --
-- How many recipients stand on a mailbox's tray.
SELECT count(*) AS found
  FROM outgoing_recipient AS r
  JOIN outgoing AS o ON o.organisation_id = r.organisation_id AND o.id = r.outgoing_id
 WHERE r.organisation_id = %(organisation)s AND o.mailbox_id = %(mailbox)s
   AND r.state IN ('failed', 'expired', 'refused') AND r.cleared_at IS NULL;

-- outgoing_waiting --
-- What a mailbox has that waits: for answers, or for its hour. Oldest first.
SELECT id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, settled_at, size, object_id, wrapped,
       details
  FROM outgoing
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND state IN ('asked', 'waiting')
 ORDER BY id
 LIMIT %(limit)s;

-- outgoing_by_trace --
-- The messages with these references.
SELECT id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, settled_at, size, object_id, wrapped,
       details
  FROM outgoing
 WHERE organisation_id = %(organisation)s AND trace = ANY(%(traces)s);

-- recipients --
-- The recipients of some messages.
SELECT outgoing_id, seq, route, state, card, card_version, unsure, least, mailbox_id, mailbox_organisation, changed_at,
       delayed_at, noticed_at, opened_at, cleared_at, details, outcome
  FROM outgoing_recipient
 WHERE organisation_id = %(organisation)s AND outgoing_id = ANY(%(outgoings)s)
 ORDER BY outgoing_id, seq;

-- questions --
-- What was asked about some messages.
SELECT outgoing_id, number, card, card_version, unsure, asked_at, answered_at, answered_by, choice, details, reason
  FROM outgoing_question
 WHERE organisation_id = %(organisation)s AND outgoing_id = ANY(%(outgoings)s)
 ORDER BY outgoing_id, number;

-- body --
-- The message itself, sealed, and what shows that it is whole.
SELECT sealed, digest FROM object WHERE organisation_id = %(organisation)s AND id = %(object)s;

-- settle_outgoing --
-- It was released or cancelled: once.
UPDATE outgoing SET state = %(state)s, settled_at = %(at)s
 WHERE organisation_id = %(organisation)s AND id = %(outgoing)s AND state IN ('asked', 'waiting');

-- wait_outgoing --
-- Everything was answered: it waits for its time now.
UPDATE outgoing SET state = 'waiting', release_at = %(release_at)s, details = %(details)s
 WHERE organisation_id = %(organisation)s AND id = %(outgoing)s AND state = 'asked';

-- remind_outgoing --
-- Its sender was reminded that an answer is wanted.
UPDATE outgoing SET reminded_at = %(at)s WHERE organisation_id = %(organisation)s AND id = %(outgoing)s;

-- unanswered --
-- What has waited for answers since before a time and was not reminded of yet.
SELECT id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, settled_at, size, object_id, wrapped,
       details
  FROM outgoing
 WHERE organisation_id = %(organisation)s AND state = 'asked' AND reminded_at IS NULL AND submitted_at < %(before)s
 ORDER BY submitted_at
 LIMIT %(limit)s
   FOR UPDATE SKIP LOCKED;

-- set_recipients --
-- What became of some recipients. NULL leaves a value as it is.
UPDATE outgoing_recipient AS r
   SET state = given.state, changed_at = %(at)s, outcome = coalesce(given.outcome, r.outcome)
  FROM unnest(%(seqs)s::smallint[], %(states)s::text[], %(outcomes)s::bytea[]) AS given (seq, state, outcome)
 WHERE r.organisation_id = %(organisation)s AND r.outgoing_id = %(outgoing)s AND r.seq = given.seq;

-- settle_recipient --
-- What became of one recipient, unless that was settled before: the first word stands.
UPDATE outgoing_recipient SET state = %(state)s, changed_at = %(at)s, outcome = %(outcome)s
 WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s AND seq = %(seq)s AND state = ANY(%(open)s);

-- reroute_recipient --
-- One recipient gets it another way now.
UPDATE outgoing_recipient
   SET route = %(route)s, state = %(state)s, least = %(least)s, mailbox_id = %(mailbox)s,
       mailbox_organisation = %(mailbox_organisation)s, changed_at = %(at)s, delayed_at = NULL, cleared_at = NULL
 WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s AND seq = %(seq)s;

-- delay_recipient --
-- Tried, and not taken yet.
UPDATE outgoing_recipient SET delayed_at = coalesce(delayed_at, %(at)s), outcome = %(outcome)s
 WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s AND seq = %(seq)s;

-- see_recipient --
-- The secure message was noticed or opened. The first time counts.
UPDATE outgoing_recipient
   SET state = CASE WHEN state IN ('revoked', 'opened') THEN state ELSE %(state)s END, changed_at = %(at)s,
       noticed_at = CASE WHEN %(state)s = 'noticed' THEN coalesce(noticed_at, %(at)s) ELSE noticed_at END,
       opened_at = CASE WHEN %(state)s = 'opened' THEN coalesce(opened_at, %(at)s) ELSE opened_at END
 WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s AND seq = %(seq)s;

-- clear_recipient --
-- Somebody has seen that it did not arrive.
UPDATE outgoing_recipient SET cleared_at = %(at)s
 WHERE organisation_id = %(organisation)s AND outgoing_id = %(outgoing)s AND seq = %(seq)s
   AND state IN ('failed', 'expired', 'refused') AND cleared_at IS NULL;

-- count_waiting --
-- What waits for answers, for an administrator, or should have left by now, and since when the oldest does (R145).
WITH late AS (
       SELECT o.release_at
         FROM outgoing_due AS d
         JOIN outgoing AS o ON o.organisation_id = d.owner_organisation AND o.id = d.outgoing_id
        WHERE d.owner_organisation = %(organisation)s AND o.state = 'waiting' AND o.release_at < %(now)s
     )
SELECT (SELECT count(*) FROM outgoing WHERE organisation_id = %(organisation)s AND state = 'asked')
       + (SELECT count(*) FROM late) AS asked,
       (SELECT count(*) FROM outgoing_recipient
         WHERE organisation_id = %(organisation)s AND state = 'held') AS held,
       least((SELECT min(submitted_at) FROM outgoing WHERE organisation_id = %(organisation)s AND state = 'asked'),
             (SELECT min(changed_at) FROM outgoing_recipient
               WHERE organisation_id = %(organisation)s AND state = 'held'),
             (SELECT min(release_at) FROM late)) AS oldest;

-- outgoing_held --
-- A page of the messages with recipients that an administrator has to look at, oldest first.
SELECT id, trace, mailbox_id, person_id, door, state, submitted_at, release_at, settled_at, size, object_id, wrapped,
       details
  FROM outgoing AS o
 WHERE organisation_id = %(organisation)s AND state = 'released' AND id > %(after)s
   AND EXISTS (SELECT FROM outgoing_recipient AS r
                WHERE r.organisation_id = o.organisation_id AND r.outgoing_id = o.id AND r.state = 'held')
 ORDER BY id
 LIMIT %(limit)s;

-- drop_bodies --
-- Forget the key of messages that everybody has, or that were tried for long enough: nobody can need them from here.
UPDATE outgoing AS o SET object_id = NULL, wrapped = NULL
 WHERE o.organisation_id = %(organisation)s AND o.state IN ('released', 'cancelled') AND o.object_id IS NOT NULL
   AND (o.settled_at < %(long_ago)s
        OR (o.settled_at < %(before)s
            AND NOT EXISTS (SELECT FROM outgoing_recipient AS r
                             WHERE r.organisation_id = o.organisation_id AND r.outgoing_id = o.id
                               AND r.state NOT IN ('delivered', 'relayed', 'opened', 'cancelled', 'revoked'))));

-- forget_outgoing --
-- Remove what was settled long ago. R189.
DELETE FROM outgoing
 WHERE organisation_id = %(organisation)s AND settled_at < %(before)s AND object_id IS NULL;

-- replace_verdict --
-- The verdict is written anew: the sender's answers have changed it.
DELETE FROM verdict WHERE organisation_id = %(organisation)s AND trace = %(trace)s;

-- replies --
-- Messages of our own people that answer one.
SELECT outgoing.trace, outgoing.mailbox_id, outgoing.submitted_at AS at
  FROM verdict_token AS token
  JOIN outgoing ON outgoing.organisation_id = token.organisation_id AND outgoing.trace = token.trace
 WHERE token.organisation_id = %(organisation)s AND token.token = %(token)s AND token.kind = 'reference'
 ORDER BY outgoing.submitted_at
 LIMIT %(limit)s;
