-- Mail that has arrived in mailboxes that answer or forward by themselves: marked, taken in hand, done with.

-- note_arrivals --
-- Mark what has arrived, in the transaction that lays it in. Asks for nothing back: it costs no round trip.
INSERT INTO arrival (owner_organisation, mailbox_id, trace, proved, warned, due_at)
SELECT %(organisation)s, mailbox_id, trace, proved, warned, %(at)s
  FROM unnest(%(mailboxes)s::bigint[], %(traces)s::text[], %(proved)s::boolean[], %(warned)s::boolean[])
       AS given (mailbox_id, trace, proved, warned);

-- claim_arrivals --
-- Take up to %(limit)s of them, of any organisation, for a while.
-- SKIP LOCKED: two workers never take the same one, and neither waits for the other.
UPDATE arrival
   SET claimed_until = %(until)s, tries = arrival.tries + 1
  FROM (SELECT id
          FROM arrival
         WHERE due_at <= %(now)s AND (claimed_until IS NULL OR claimed_until <= %(now)s)
         ORDER BY due_at
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED) AS next
 WHERE arrival.id = next.id
RETURNING arrival.id, arrival.owner_organisation AS organisation, arrival.mailbox_id AS mailbox, arrival.trace,
          arrival.proved, arrival.warned, arrival.tries;

-- done_with_arrival --
-- It has been dealt with; no row when another worker was quicker.
DELETE FROM arrival WHERE id = %(id)s RETURNING id;

-- postpone_arrival --
-- It could not be dealt with just now: again at that time.
UPDATE arrival SET due_at = %(due_at)s, claimed_until = NULL WHERE id = %(id)s;
