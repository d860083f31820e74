-- What operators and administrators do to the queue. One organisation at a time.

-- waiting_page --
-- Messages of which somebody waits, the oldest first, with what the queue knows of them in clear.
SELECT d.id, d.trace, d.queued_at, d.expires_at, d.recipients, t.waiting, t.in_hand, t.held, t.unprotected, t.next_at,
       r.attempts, r.code, r.enhanced
  FROM delivery AS d
 CROSS JOIN LATERAL (
         SELECT count(*) AS waiting, count(t.lease_owner) AS in_hand, count(*) FILTER (WHERE t.held) AS held,
                count(*) FILTER (WHERE t.tls_missing) AS unprotected, min(t.next_at) AS next_at
           FROM delivery_turn AS t
          WHERE t.organisation_id = d.organisation_id AND t.delivery_id = d.id
            AND (%(destination)s::bytea IS NULL OR t.destination = %(destination)s)
       ) AS t
  LEFT JOIN LATERAL (
         SELECT one.attempts, one.code, one.enhanced
           FROM delivery_recipient AS one
          WHERE one.organisation_id = d.organisation_id AND one.delivery_id = d.id AND one.state = 'queued'
          ORDER BY one.attempts DESC, one.seq
          LIMIT 1
       ) AS r ON true
 WHERE d.organisation_id = %(organisation)s AND d.settled_at IS NULL AND t.waiting > 0
   AND (d.queued_at, d.id) > (%(after_at)s, %(after_id)s)
 ORDER BY d.queued_at, d.id
 LIMIT %(limit)s;

-- hurry --
-- What of one message, or of all for one destination, waits is tried at once. What is held back stays so.
UPDATE delivery_turn
   SET next_at = %(now)s
 WHERE organisation_id = %(organisation)s AND lease_owner IS NULL AND NOT held
   AND (delivery_id = %(delivery)s OR destination = %(destination)s);

-- hold --
-- Hold back what of a message is in nobody's hand, or let it go again at once.
UPDATE delivery_turn
   SET held = %(held)s, next_at = CASE WHEN %(held)s THEN next_at ELSE %(now)s END
 WHERE organisation_id = %(organisation)s AND delivery_id = %(delivery)s AND lease_owner IS NULL AND held <> %(held)s;

-- delivered --
-- Messages of which somebody's copy was taken in some time, whose body is kept, and which were not sent again yet.
SELECT d.id, d.trace, d.outgoing_id, d.object_id, d.wrapped, d.size, d.details, d.lane, d.urgent, d.queued_at,
       d.expires_at, array_agg(r.seq ORDER BY r.seq) AS seqs
  FROM delivery AS d
  JOIN delivery_recipient AS r ON r.organisation_id = d.organisation_id AND r.delivery_id = d.id
 WHERE d.organisation_id = %(organisation)s AND d.object_id IS NOT NULL AND d.replays IS NULL AND d.id > %(after)s
   AND (%(only)s::bigint IS NULL OR d.id = %(only)s)
   AND d.queued_at < %(until)s AND r.state = 'delivered' AND r.settled_at BETWEEN %(since)s AND %(until)s
   AND NOT EXISTS (
         SELECT 1
           FROM delivery AS n
           JOIN delivery_recipient AS again ON again.organisation_id = n.organisation_id AND again.delivery_id = n.id
          WHERE n.organisation_id = d.organisation_id AND n.replays = d.id AND again.seq = r.seq
       )
 GROUP BY d.organisation_id, d.id
 ORDER BY d.id
 LIMIT %(limit)s;

-- lock_delivery --
-- Who else would send this message again waits, and finds that it was.
SELECT id FROM delivery WHERE organisation_id = %(organisation)s AND id = %(delivery)s FOR UPDATE;
