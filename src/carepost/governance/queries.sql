-- Statements of governance: acceptable use.

-- insert_version --
-- A new version of the acceptable use policy. No row when somebody published this number first.
INSERT INTO aup_version (version, text, changes, published_at, accept_by)
VALUES (%(version)s, %(text)s, %(changes)s, %(published_at)s, %(accept_by)s)
ON CONFLICT (version) DO NOTHING;

-- versions --
-- Every version, the newest first: anyone may read them at any time (R76).
SELECT version, text, changes, published_at, accept_by FROM aup_version ORDER BY version DESC;

-- current_version --
-- The version that counts now.
SELECT version, text, changes, published_at, accept_by FROM aup_version ORDER BY version DESC LIMIT 1;

-- accepted_version --
-- The newest version that a person has accepted.
SELECT max(version) AS version FROM aup_acceptance
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- insert_acceptance --
-- A person accepted a version. No row when they had.
INSERT INTO aup_acceptance (organisation_id, person_id, version, at, address, client)
VALUES (%(organisation)s, %(person)s, %(version)s, %(at)s, %(address)s, %(client)s)
ON CONFLICT DO NOTHING;

-- who_has_not_accepted --
-- The people of an organisation who have yet to accept a version, for its administrators (R75).
SELECT person.id, person.given_name, person.family_name, person.title
  FROM person
 WHERE person.organisation_id = %(organisation)s AND person.status IN ('invited', 'active')
   AND NOT EXISTS (SELECT FROM aup_acceptance
                    WHERE aup_acceptance.organisation_id = person.organisation_id
                      AND aup_acceptance.person_id = person.id AND aup_acceptance.version = %(version)s)
 ORDER BY person.family_name, person.given_name, person.id;
