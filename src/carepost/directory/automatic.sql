-- Automatic replies and forwarding: every statement. The organisation comes first, always.

-- autoreply --
-- The automatic reply of a mailbox.
SELECT is_on, starts_at, ends_at, changed_at, details
  FROM autoreply
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s;

-- autoreplies_on --
-- Which of some mailboxes answer automatically at that time.
SELECT mailbox_id
  FROM autoreply
 WHERE organisation_id = %(organisation)s AND mailbox_id = ANY(%(mailboxes)s) AND is_on
   AND (starts_at IS NULL OR starts_at <= %(at)s) AND (ends_at IS NULL OR ends_at > %(at)s);

-- set_autoreply --
-- Write the automatic reply of a mailbox.
INSERT INTO autoreply (organisation_id, mailbox_id, is_on, starts_at, ends_at, changed_at, details)
VALUES (%(organisation)s, %(mailbox)s, %(is_on)s, %(starts_at)s, %(ends_at)s, %(at)s, %(details)s)
    ON CONFLICT (organisation_id, mailbox_id) DO UPDATE
   SET is_on = excluded.is_on, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
       changed_at = excluded.changed_at, details = excluded.details;

-- tell_once --
-- Note that somebody is answered now; no row when they were answered since `again_before`.
INSERT INTO autoreply_told AS told (organisation_id, mailbox_id, token, told_at)
VALUES (%(organisation)s, %(mailbox)s, %(token)s, %(at)s)
    ON CONFLICT (organisation_id, mailbox_id, token) DO UPDATE SET told_at = excluded.told_at
 WHERE told.told_at <= %(again_before)s
RETURNING true AS told;

-- told_since --
-- How many a mailbox has answered since then.
SELECT count(*) AS told
  FROM autoreply_told
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND told_at > %(since)s;

-- forget_told --
-- Remove notes of answers that bind nobody any more.
DELETE FROM autoreply_told WHERE organisation_id = %(organisation)s AND told_at <= %(before)s;

-- own_addresses --
-- Every address that leads to a mailbox.
SELECT address
  FROM address_route
 WHERE owner_organisation = %(organisation)s AND mailbox_id = %(mailbox)s;

-- forwardings --
-- What was asked for a mailbox, newest first.
SELECT id, mailbox_id, state, asked_at, asked_by, decided_at, ended_at, expires_at, told_at, details
  FROM forwarding
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s
 ORDER BY id DESC
 LIMIT %(limit)s;

-- forwardings_open --
-- What waits for an administrator or is in force, oldest first, a page at a time.
SELECT id, mailbox_id, state, asked_at, asked_by, decided_at, ended_at, expires_at, told_at, details
  FROM forwarding
 WHERE organisation_id = %(organisation)s AND state IN ('asked', 'allowed') AND id > %(after)s
 ORDER BY id
 LIMIT %(limit)s;

-- lock_forwarding --
-- Take one to change it: of two who come, the second waits and then finds what the first has done.
SELECT id, mailbox_id, state, asked_at, asked_by, decided_at, ended_at, expires_at, told_at, details
  FROM forwarding
 WHERE organisation_id = %(organisation)s AND id = %(id)s
   FOR UPDATE;

-- forwarding_in_force --
-- The one by which a mailbox's mail is sent on at that time.
SELECT id, mailbox_id, state, asked_at, asked_by, decided_at, ended_at, expires_at, told_at, details
  FROM forwarding
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND state = 'allowed' AND expires_at > %(at)s;

-- ask_forwarding --
-- Ask for one; no row when there is one already.
INSERT INTO forwarding (organisation_id, mailbox_id, state, asked_at, asked_by, details)
VALUES (%(organisation)s, %(mailbox)s, 'asked', %(at)s, %(asked_by)s, %(details)s)
    ON CONFLICT DO NOTHING
RETURNING id;

-- allow_forwarding --
-- An administrator has said yes.
UPDATE forwarding SET state = 'allowed', decided_at = %(at)s, expires_at = %(expires)s
 WHERE organisation_id = %(organisation)s AND id = %(id)s AND state = 'asked';

-- end_forwarding --
-- It is over: refused, ended by its people, or stopped by the service.
UPDATE forwarding
   SET state = %(state)s, ended_at = %(at)s, details = %(details)s,
       decided_at = CASE WHEN %(state)s = 'refused' THEN %(at)s ELSE decided_at END
 WHERE organisation_id = %(organisation)s AND id = %(id)s AND state IN ('asked', 'allowed');

-- tell_of_forwarding --
-- Note that its people are told now; no row when they were told since `again_before`.
UPDATE forwarding SET told_at = %(at)s
 WHERE organisation_id = %(organisation)s AND id = %(id)s AND (told_at IS NULL OR told_at <= %(again_before)s)
RETURNING id;

-- note_forwarded --
-- Which delivery of the queue is a forwarding's.
INSERT INTO forwarded (organisation_id, delivery_id, forwarding_id, at)
VALUES (%(organisation)s, %(delivery)s, %(id)s, %(at)s);

-- forwarding_of_delivery --
-- Which forwarding a delivery is of.
SELECT forwarding.id, forwarding.mailbox_id, forwarding.state, forwarding.asked_at, forwarding.asked_by,
       forwarding.decided_at, forwarding.ended_at, forwarding.expires_at, forwarding.told_at, forwarding.details
  FROM forwarded
  JOIN forwarding ON forwarding.organisation_id = forwarded.organisation_id AND forwarding.id = forwarded.forwarding_id
 WHERE forwarded.organisation_id = %(organisation)s AND forwarded.delivery_id = %(delivery)s;

-- forget_forwarded --
-- Remove notes of deliveries that came to their end long ago.
DELETE FROM forwarded WHERE organisation_id = %(organisation)s AND at <= %(before)s;
