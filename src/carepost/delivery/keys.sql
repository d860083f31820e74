-- The statements of the keys that mail is signed with.

-- own_domain --
-- A mail domain of ours, and whose it is; NULL: all organisations share it.
SELECT domain, owner_organisation FROM mail_domain WHERE domain = %(domain)s;

-- dkim_keys --
-- The keys of a domain, newest last.
SELECT selector, algorithm, public, private, state, created_at, activated_at, retired_at
  FROM dkim_key
 WHERE organisation_id = %(organisation)s AND domain = %(domain)s
 ORDER BY created_at, selector;

-- insert_dkim_key --
-- A new key of a domain. Somebody else may have made one at the same moment: then theirs counts.
INSERT INTO dkim_key (organisation_id, domain, selector, algorithm, public, private, state, created_at, activated_at)
VALUES (%(organisation)s, %(domain)s, %(selector)s, %(algorithm)s, %(public)s, %(private)s, %(state)s, %(at)s,
        CASE WHEN %(state)s = 'active' THEN %(at)s::timestamptz END)
    ON CONFLICT DO NOTHING;

-- retire_dkim_keys --
-- The keys that have signed until now sign no more; their public halves stay in DNS for a while.
UPDATE dkim_key
   SET state = 'retired', retired_at = %(at)s, private = NULL
 WHERE organisation_id = %(organisation)s AND domain = %(domain)s AND state = 'active';

-- activate_dkim_keys --
-- The keys that stood by sign from here on.
UPDATE dkim_key
   SET state = 'active', activated_at = %(at)s
 WHERE organisation_id = %(organisation)s AND domain = %(domain)s AND state = 'standby';

-- forget_dkim_keys --
-- Public halves that nobody needs to see in DNS any more.
DELETE FROM dkim_key
 WHERE organisation_id = %(organisation)s AND domain = %(domain)s AND state = 'retired' AND retired_at < %(before)s;
