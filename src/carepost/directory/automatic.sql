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
