-- Every statement of the delivery queue. The organisation comes first, save where turns of all of them are taken.

-- insert_delivery --
-- Queue a message: itself, its recipients, and a turn for each. One statement.
WITH given AS (
       INSERT INTO delivery (organisation_id, trace, outgoing_id, object_id, wrapped, size, details, lane, urgent,
                             recipients, queued_at, expires_at, replays)
       VALUES (%(organisation)s, %(trace)s, %(outgoing)s, %(object)s, %(wrapped)s, %(size)s, %(details)s, %(lane)s,
               %(urgent)s, cardinality(%(seqs)s::integer[]), %(at)s, %(expires)s,
               %(replays)s)
       RETURNING id
     ),
     recipients AS (
       INSERT INTO delivery_recipient (organisation_id, delivery_id, seq, details)
       SELECT %(organisation)s, given.id, one.seq, one.details
         FROM given, unnest(%(seqs)s::integer[], %(each)s::bytea[]) AS one (seq, details)
     ),
     turns AS (
       INSERT INTO delivery_turn (organisation_id, delivery_id, seq, destination, lane, queued_at, next_at)
       SELECT %(organisation)s, given.id, one.seq, one.destination, %(lane)s, %(at)s, %(at)s
         FROM given, unnest(%(seqs)s::integer[], %(destinations)s::bytea[]) AS one (seq, destination)
     )
SELECT id FROM given;

-- say_that_turns_are_taken --
-- From here to the end of the transaction the turns of all organisations are seen.
SELECT set_config('carepost.queue', 'taking turns', true);

-- take_turns --
-- Take up to so many recipients of a lane whose turn has come, but none for a destination that has enough of us.
-- SKIP LOCKED: two workers never take the same one, and neither waits for the other.
WITH due AS MATERIALIZED (
       SELECT organisation_id, delivery_id, seq
         FROM delivery_turn
        WHERE lease_owner IS NULL AND lane = %(lane)s AND next_at <= %(now)s AND NOT held
          AND destination <> ALL(%(busy)s::bytea[])
        ORDER BY next_at, delivery_id, seq
        LIMIT %(limit)s
          FOR UPDATE SKIP LOCKED
     )
UPDATE delivery_turn AS turn
   SET lease_owner = %(owner)s, lease_until = %(until)s
  FROM due
 WHERE turn.organisation_id = due.organisation_id AND turn.delivery_id = due.delivery_id AND turn.seq = due.seq
RETURNING turn.organisation_id, turn.delivery_id, turn.seq, turn.destination, turn.lane;

-- next_turn --
-- When the next turn comes that nobody has in hand.
SELECT min(next_at) AS at FROM delivery_turn WHERE lease_owner IS NULL AND NOT held;

-- renew_leases --
-- A worker is still at work on these.
UPDATE delivery_turn AS turn
   SET lease_until = %(until)s
  FROM unnest(%(organisations)s::bigint[], %(deliveries)s::bigint[], %(seqs)s::integer[])
       AS one (organisation_id, delivery_id, seq)
 WHERE turn.organisation_id = one.organisation_id AND turn.delivery_id = one.delivery_id AND turn.seq = one.seq
   AND turn.lease_owner = %(owner)s;

-- give_back --
-- A worker lets go of turns that it did not come to.
UPDATE delivery_turn AS turn
   SET lease_owner = NULL, lease_until = NULL, next_at = greatest(turn.next_at, %(next_at)s)
  FROM unnest(%(organisations)s::bigint[], %(deliveries)s::bigint[], %(seqs)s::integer[])
       AS one (organisation_id, delivery_id, seq)
 WHERE turn.organisation_id = one.organisation_id AND turn.delivery_id = one.delivery_id AND turn.seq = one.seq
   AND turn.lease_owner = %(owner)s;

-- free_lapsed --
-- Whoever had these in hand was not heard of any more: they are anybody's again (C5).
UPDATE delivery_turn
   SET lease_owner = NULL, lease_until = NULL
 WHERE lease_owner IS NOT NULL AND lease_until < %(now)s;

-- pull_back --
-- Turns that a wrong clock has put into the far future come now (D8).
UPDATE delivery_turn
   SET next_at = %(now)s
 WHERE lease_owner IS NULL AND next_at > %(latest)s;

-- open_deliveries --
-- What is needed to send some messages, without their bodies.
SELECT id, trace, outgoing_id, object_id, wrapped, size, details, lane, urgent, queued_at, expires_at
  FROM delivery
 WHERE organisation_id = %(organisation)s AND id = ANY(%(deliveries)s);

-- open_recipients --
-- What is needed to send to some recipients. Only those that this worker has in hand.
SELECT r.delivery_id, r.seq, r.details, r.attempts, t.delays_told, t.tls_missing
  FROM unnest(%(deliveries)s::bigint[], %(seqs)s::integer[]) AS one (delivery_id, seq)
  JOIN delivery_recipient AS r
    ON r.organisation_id = %(organisation)s AND r.delivery_id = one.delivery_id AND r.seq = one.seq
  JOIN delivery_turn AS t
    ON t.organisation_id = r.organisation_id AND t.delivery_id = r.delivery_id AND t.seq = r.seq
 WHERE t.lease_owner = %(owner)s
 ORDER BY r.delivery_id, r.seq;

-- body --
-- The sealed bytes of a message.
SELECT sealed, digest FROM object WHERE organisation_id = %(organisation)s AND id = %(object)s;

-- small_bodies --
-- The sealed bytes of messages that are so small that they are fetched together.
SELECT id, sealed, digest FROM object WHERE organisation_id = %(organisation)s AND id = ANY(%(objects)s::bytea[]);

-- lock_turns --
-- Take the turns that are about to be settled: whoever else would settle or cancel them waits, and finds them settled.
SELECT t.seq, t.lease_owner, t.tls_missing, r.attempts
  FROM delivery_turn AS t
  JOIN delivery_recipient AS r
    ON r.organisation_id = t.organisation_id AND r.delivery_id = t.delivery_id AND r.seq = t.seq
 WHERE t.organisation_id = %(organisation)s AND t.delivery_id = %(delivery)s AND t.seq = ANY(%(seqs)s)
 ORDER BY t.seq
   FOR UPDATE OF t;

-- settle --
-- Write down what an attempt came to: recipients that are done with lose their turn, the others get a later one.
WITH told AS (
       SELECT *
         FROM unnest(%(seqs)s::integer[], %(states)s::text[], %(next_at)s::timestamptz[], %(lost)s::integer[],
                     %(codes)s::smallint[], %(enhanced)s::text[], %(evidence)s::bytea[], %(tls_missing)s::boolean[])
           AS one (seq, state, next_at, lost, code, enhanced, evidence, tls_missing)
     ),
     recipients AS (
       UPDATE delivery_recipient AS r
          SET state = told.state,
              settled_at = CASE WHEN told.state <> 'queued' THEN %(now)s::timestamptz END,
              attempts = r.attempts + %(attempted)s,
              lost_replies = r.lost_replies + told.lost,
              code = told.code, enhanced = told.enhanced, evidence = coalesce(told.evidence, r.evidence),
              tls_version = %(tls_version)s, cipher = %(cipher)s, verified_by = %(verified_by)s
         FROM told
        WHERE r.organisation_id = %(organisation)s AND r.delivery_id = %(delivery)s AND r.seq = told.seq
          AND r.state = 'queued'
     ),
     later AS (
       UPDATE delivery_turn AS t
          SET lease_owner = NULL, lease_until = NULL, next_at = told.next_at, tls_missing = told.tls_missing
         FROM told
        WHERE t.organisation_id = %(organisation)s AND t.delivery_id = %(delivery)s AND t.seq = told.seq
          AND told.state = 'queued'
     ),
     done AS (
       DELETE FROM delivery_turn AS t
        USING told
        WHERE t.organisation_id = %(organisation)s AND t.delivery_id = %(delivery)s AND t.seq = told.seq
          AND told.state <> 'queued'
     )
UPDATE delivery AS d
   SET settled_at = %(now)s
 WHERE d.organisation_id = %(organisation)s AND d.id = %(delivery)s AND d.settled_at IS NULL
   AND NOT EXISTS (
         SELECT 1 FROM delivery_turn AS t
          WHERE t.organisation_id = d.organisation_id AND t.delivery_id = d.id
            AND t.seq NOT IN (SELECT seq FROM told WHERE state <> 'queued')
       );

-- settle_the_rest --
-- Messages of which two recipients were settled at the same moment, each thinking that the other was still to come.
UPDATE delivery AS d
   SET settled_at = %(now)s
 WHERE d.organisation_id = %(organisation)s AND d.settled_at IS NULL
   AND NOT EXISTS (
         SELECT 1 FROM delivery_turn AS t WHERE t.organisation_id = d.organisation_id AND t.delivery_id = d.id
       )
   AND NOT EXISTS (
         SELECT 1 FROM delivery_recipient AS r
          WHERE r.organisation_id = d.organisation_id AND r.delivery_id = d.id AND r.state = 'queued'
       );

-- turns_of_outgoing --
-- What of a message has not left and is in nobody's hand; what is in hand is left to whoever has it.
SELECT t.delivery_id, t.seq
  FROM delivery AS d
  JOIN delivery_turn AS t ON t.organisation_id = d.organisation_id AND t.delivery_id = d.id
 WHERE d.organisation_id = %(organisation)s AND d.outgoing_id = %(outgoing)s
   AND (%(seqs)s::integer[] IS NULL OR t.seq = ANY(%(seqs)s::integer[]))
   AND t.lease_owner IS NULL
 ORDER BY t.delivery_id, t.seq
   FOR UPDATE OF t SKIP LOCKED;

-- retry_outgoing --
-- What of a message waits comes at once.
UPDATE delivery_turn AS t
   SET next_at = %(now)s
  FROM delivery AS d
 WHERE d.organisation_id = %(organisation)s AND d.outgoing_id = %(outgoing)s
   AND t.organisation_id = d.organisation_id AND t.delivery_id = d.id AND t.lease_owner IS NULL;

-- delays --
-- Recipients whose sender should have been told of a delay by now, and was not. Those in somebody's hand come later.
SELECT t.delivery_id, t.seq, t.delays_told, t.tls_missing, t.queued_at
  FROM delivery_turn AS t
 WHERE t.organisation_id = %(organisation)s AND t.lease_owner IS NULL
   AND t.delays_told < (
         SELECT count(*) FROM unnest(%(before)s::timestamptz[]) AS told (at) WHERE t.queued_at <= told.at
       )
 ORDER BY t.delivery_id, t.seq
 LIMIT %(limit)s
   FOR UPDATE OF t SKIP LOCKED;

-- delays_told --
-- Note that a delay has been told.
UPDATE delivery_turn AS t
   SET delays_told = one.told
  FROM unnest(%(seqs)s::integer[], %(told)s::smallint[]) AS one (seq, told)
 WHERE t.organisation_id = %(organisation)s AND t.delivery_id = %(delivery)s AND t.seq = one.seq;

-- recipients --
-- Some recipients of a message, as they stand.
SELECT seq, details, state, settled_at, attempts, lost_replies, code, enhanced, tls_version, cipher, verified_by, evidence
  FROM delivery_recipient
 WHERE organisation_id = %(organisation)s AND delivery_id = %(delivery)s
   AND (%(seqs)s::integer[] IS NULL OR seq = ANY(%(seqs)s::integer[]))
 ORDER BY seq;

-- deliveries_of_walk --
-- What the queue knows of a message, by its trace.
SELECT id, trace, outgoing_id, object_id, wrapped, size, details, lane, urgent, queued_at, expires_at
  FROM delivery
 WHERE organisation_id = %(organisation)s AND trace = %(trace)s
 ORDER BY id;

-- let_go_of_bodies --
-- The safety net's time is over: the queue gives up its keys to what it delivered (C12).
UPDATE delivery
   SET object_id = NULL, wrapped = NULL
 WHERE organisation_id = %(organisation)s AND object_id IS NOT NULL AND settled_at < %(before)s;

-- forget_deliveries --
-- Remove what the queue remembers of messages that were settled long ago (R189).
DELETE FROM delivery
 WHERE organisation_id = %(organisation)s AND settled_at < %(before)s;

-- reckon --
-- Every recipient that was taken over, against what became of them all (C2).
SELECT coalesce((SELECT sum(recipients) FROM delivery WHERE organisation_id = %(organisation)s), 0)::bigint AS accepted,
       count(*) FILTER (WHERE r.state <> 'queued') AS ended,
       count(*) FILTER (WHERE r.state = 'queued' AND t.seq IS NOT NULL) AS pending,
       count(*) FILTER (WHERE r.state = 'queued' AND t.seq IS NULL) AS without_turn,
       count(*) FILTER (WHERE r.state <> 'queued' AND t.seq IS NOT NULL) AS turn_too_many
  FROM delivery_recipient AS r
  LEFT JOIN delivery_turn AS t
    ON t.organisation_id = r.organisation_id AND t.delivery_id = r.delivery_id AND t.seq = r.seq
 WHERE r.organisation_id = %(organisation)s;

-- recipients_without_turn --
-- Recipients that are queued and would never come: something has taken their turn away.
SELECT r.delivery_id, r.seq, r.details, d.trace, d.lane, d.queued_at
  FROM delivery_recipient AS r
  JOIN delivery AS d ON d.organisation_id = r.organisation_id AND d.id = r.delivery_id
 WHERE r.organisation_id = %(organisation)s AND r.state = 'queued'
   AND NOT EXISTS (
         SELECT 1 FROM delivery_turn AS t
          WHERE t.organisation_id = r.organisation_id AND t.delivery_id = r.delivery_id AND t.seq = r.seq
       )
 LIMIT %(limit)s;

-- insert_turn --
-- Give a recipient its turn again.
INSERT INTO delivery_turn (organisation_id, delivery_id, seq, destination, lane, queued_at, next_at)
VALUES (%(organisation)s, %(delivery)s, %(seq)s, %(destination)s, %(lane)s, %(queued_at)s, %(now)s)
    ON CONFLICT DO NOTHING;

-- remove_turns_too_many --
-- Whoever has come to an end has no turn.
DELETE FROM delivery_turn AS t
 USING delivery_recipient AS r
 WHERE t.organisation_id = %(organisation)s AND r.organisation_id = t.organisation_id
   AND r.delivery_id = t.delivery_id AND r.seq = t.seq AND r.state <> 'queued';

-- standing --
-- How the queue stands: how much waits, is due, is in hand; how long the oldest has waited; what waits for too long.
SELECT count(*) AS waiting,
       count(*) FILTER (WHERE lease_owner IS NULL AND next_at <= %(now)s AND NOT held) AS due,
       count(*) FILTER (WHERE lease_owner IS NOT NULL) AS in_hand,
       count(*) FILTER (WHERE queued_at < %(too_long)s) AS too_long,
       count(*) FILTER (WHERE tls_missing) AS tls_missing,
       count(*) FILTER (WHERE held) AS held,
       min(queued_at) AS oldest
  FROM delivery_turn;
