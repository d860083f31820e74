-- Statements of the rules for mail that leaves. Tables with organisation_id show one organisation's rows only.

-- newest_rules --
-- The rules in force for one organisation: the newest version, with who set it.
SELECT rules.version, rules.chosen, rules.reason, rules.set_at, person.given_name, person.family_name
  FROM outgoing_rules AS rules
  LEFT JOIN person ON person.organisation_id = rules.organisation_id AND person.id = rules.set_by
 WHERE rules.organisation_id = %(organisation)s
 ORDER BY rules.version DESC
 LIMIT %(limit)s;

-- insert_rules --
-- The next version. No row when somebody else has set one since.
INSERT INTO outgoing_rules (organisation_id, version, chosen, reason, set_at, set_by)
SELECT %(organisation)s, %(version)s, %(chosen)s, %(reason)s, %(at)s, %(person)s
 WHERE %(version)s = 1 + coalesce((SELECT max(version) FROM outgoing_rules WHERE organisation_id = %(organisation)s), 0)
ON CONFLICT DO NOTHING;

-- guidance_seen --
-- Which guidance a person has read last.
SELECT digest FROM guidance_seen WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- note_guidance --
-- They have read this one.
INSERT INTO guidance_seen (organisation_id, person_id, digest, seen_at)
VALUES (%(organisation)s, %(person)s, %(digest)s, %(at)s)
ON CONFLICT (organisation_id, person_id) DO UPDATE SET digest = excluded.digest, seen_at = excluded.seen_at;

-- tls_exceptions --
-- Every exception from mandatory TLS: a handful.
SELECT domain, reason, made_at, until_at FROM tls_exception ORDER BY domain;

-- put_tls_exception --
-- Make one, or renew it.
INSERT INTO tls_exception (domain, reason, made_at, until_at)
VALUES (%(domain)s, %(reason)s, %(made_at)s, %(until_at)s)
ON CONFLICT (domain) DO UPDATE
   SET reason = excluded.reason, made_at = excluded.made_at, until_at = excluded.until_at;

-- end_tls_exception --
-- Take it back.
DELETE FROM tls_exception WHERE domain = %(domain)s;
