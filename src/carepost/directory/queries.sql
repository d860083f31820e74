-- Statements of the directory. Tables with organisation_id show one organisation's rows only (row-level security).

-- route --
-- What is known about an address, in one look: is the domain ours, and which of these addresses exist.
-- One row at least, so that "ours" is answered when no address is found.
SELECT domain.domain IS NOT NULL AS ours, route.address, route.owner_organisation, route.mailbox_id, route.kind, route.state
  FROM (VALUES (1)) AS always (one)
  LEFT JOIN mail_domain AS domain ON domain.domain = %(domain)s
  LEFT JOIN address_route AS route ON route.address = ANY(%(keys)s);

-- domain_owner --
-- Whose domain it is; NULL is everybody's.
SELECT owner_organisation FROM mail_domain WHERE domain = %(domain)s;

-- administrators --
-- Administrators of one organisation whose own mailbox takes mail. Readable by the role that faces port 25.
SELECT role_grant.role, mailbox.id AS mailbox_id, role_grant.person_id
  FROM role_grant
  JOIN mailbox ON mailbox.organisation_id = role_grant.organisation_id AND mailbox.person_id = role_grant.person_id
 WHERE role_grant.organisation_id = %(organisation)s
   AND role_grant.role IN ('primary local administrator', 'local administrator', 'global administrator')
   AND EXISTS (SELECT 1 FROM address_route AS route
                WHERE route.mailbox_id = mailbox.id AND route.owner_organisation = mailbox.organisation_id
                  AND route.state = 'accepting')
 ORDER BY role_grant.person_id;

-- own_domains --
-- Every domain of ours.
SELECT domain, owner_organisation FROM mail_domain ORDER BY domain;

-- secure_domains --
-- The whole register of secure domains: some thousands of rows at most.
SELECT domain, match, source, accredited_at, accredited_until FROM secure_domain ORDER BY domain;

-- list_secure_domain --
-- Enter a domain in the register, or renew it.
INSERT INTO secure_domain (domain, match, source, accredited_at, accredited_until)
VALUES (%(domain)s, %(match)s, %(source)s, %(accredited_at)s, %(accredited_until)s)
ON CONFLICT (domain) DO UPDATE
   SET match = excluded.match, source = excluded.source,
       accredited_at = excluded.accredited_at, accredited_until = excluded.accredited_until;

-- remove_secure_domain --
-- Take a domain off the register.
DELETE FROM secure_domain WHERE domain = %(domain)s;

-- insert_organisation --
-- A new organisation. No row when the code is taken.
INSERT INTO organisation (code, name, kind, parent)
VALUES (%(code)s, %(name)s, %(kind)s, %(parent)s)
ON CONFLICT (code) DO NOTHING
RETURNING id;

-- organisation_by_id --
-- One organisation.
SELECT id, code, name, kind, status, parent FROM organisation WHERE id = %(organisation)s;

-- organisation_by_code --
-- One organisation, by the code people know it by.
SELECT id, code, name, kind, status, parent FROM organisation WHERE code = %(code)s;

-- organisations --
-- All of them, the service itself first.
SELECT id, code, name, kind, status, parent FROM organisation ORDER BY id;

-- lock_organisation --
-- The status of an organisation, held still while something is created in it (R3).
SELECT status FROM organisation WHERE id = %(organisation)s FOR SHARE;

-- close_organisation --
-- Nothing new may be created in it from here on.
UPDATE organisation SET status = 'closed' WHERE id = %(organisation)s AND status = 'open';

-- insert_domain --
-- A domain of ours. No row when it is there already.
INSERT INTO mail_domain (domain, owner_organisation) VALUES (%(domain)s, %(owner)s) ON CONFLICT (domain) DO NOTHING;

-- domain_for --
-- Whether an organisation may create addresses in a domain: its own, or one that all share.
SELECT domain FROM mail_domain
 WHERE domain = %(domain)s AND (owner_organisation IS NULL OR owner_organisation = %(organisation)s);

-- locals_taken --
-- Local parts in use anywhere that begin with this text: personal addresses are unique across the service (R13).
SELECT DISTINCT split_part(address, '@', 1) AS local FROM address_route WHERE address LIKE %(beginning)s;

-- insert_person --
-- A new person.
INSERT INTO person (organisation_id, given_name, family_name, title, job_title, mobile, registration_number,
                    status, status_changed_at, created_at)
VALUES (%(organisation)s, %(given_name)s, %(family_name)s, %(title)s, %(job_title)s, %(mobile)s,
        %(registration_number)s, 'invited', %(at)s, %(at)s)
RETURNING id;

-- people_like --
-- Whoever might be the same person: by registration number, by mobile, or by name (R11).
SELECT person.id, person.given_name, person.family_name, person.title, person.job_title, person.status, mailbox.address
  FROM person
  LEFT JOIN mailbox ON mailbox.organisation_id = person.organisation_id AND mailbox.person_id = person.id
 WHERE person.organisation_id = %(organisation)s
   AND (person.registration_number = %(registration_number)s
        OR person.mobile = %(mobile)s
        OR (lower(person.family_name) = lower(%(family_name)s) AND lower(person.given_name) = lower(%(given_name)s)))
 ORDER BY person.id
 LIMIT 10;

-- person --
-- One person, with their own mailbox.
SELECT person.id, person.organisation_id, person.given_name, person.family_name, person.title, person.job_title,
       person.status, person.acceptance_at, person.second_factor_at, mailbox.id AS mailbox, mailbox.address
  FROM person
  LEFT JOIN mailbox ON mailbox.organisation_id = person.organisation_id AND mailbox.person_id = person.id
 WHERE person.organisation_id = %(organisation)s AND person.id = %(person)s;

-- person_of_mailbox --
-- Whose personal mailbox it is.
SELECT person.id, person.organisation_id, person.given_name, person.family_name, person.title, person.job_title,
       person.status, person.acceptance_at, person.second_factor_at, mailbox.id AS mailbox, mailbox.address
  FROM mailbox
  JOIN person ON person.organisation_id = mailbox.organisation_id AND person.id = mailbox.person_id
 WHERE mailbox.organisation_id = %(organisation)s AND mailbox.id = %(mailbox)s;

-- people --
-- An organisation's people by name, a page at a time.
SELECT person.id, person.organisation_id, person.given_name, person.family_name, person.title, person.job_title,
       person.status, person.acceptance_at, person.second_factor_at, mailbox.id AS mailbox, mailbox.address
  FROM person
  LEFT JOIN mailbox ON mailbox.organisation_id = person.organisation_id AND mailbox.person_id = person.id
 WHERE person.organisation_id = %(organisation)s
   AND (person.family_name, person.given_name, person.id)
       > (%(after_family)s::text, %(after_given)s::text, %(after_id)s::bigint)
 ORDER BY person.family_name, person.given_name, person.id
 LIMIT %(limit)s;

-- lock_person --
-- A person's status, held still until it has been changed.
SELECT status, acceptance_at, second_factor_at FROM person
 WHERE organisation_id = %(organisation)s AND id = %(person)s
   FOR UPDATE;

-- set_person_status --
-- Change a person's status.
UPDATE person SET status = %(status)s, status_changed_at = %(at)s
 WHERE organisation_id = %(organisation)s AND id = %(person)s;

-- note_acceptance --
-- The person has accepted the acceptable use policy.
UPDATE person SET acceptance_at = %(at)s WHERE organisation_id = %(organisation)s AND id = %(person)s;

-- note_second_factor --
-- The person has set a second factor, or (null) has none any more.
UPDATE person SET second_factor_at = %(at)s WHERE organisation_id = %(organisation)s AND id = %(person)s;

-- set_routes_of_person --
-- Mail to a person's addresses is taken, or refused with a reason, as their status has it.
UPDATE address_route
   SET state = %(state)s
  FROM mailbox
 WHERE mailbox.organisation_id = %(organisation)s AND mailbox.person_id = %(person)s
   AND address_route.owner_organisation = mailbox.organisation_id AND address_route.mailbox_id = mailbox.id;

-- insert_mailbox --
-- A new mailbox; its intake key follows in the same transaction. No row when the organisation has the address already.
INSERT INTO mailbox (organisation_id, kind, person_id, address, display_name, not_for_urgent, created_at)
VALUES (%(organisation)s, %(kind)s, %(person)s, %(address)s, %(display_name)s, %(not_for_urgent)s, %(at)s)
ON CONFLICT (organisation_id, address) DO NOTHING
RETURNING id;

-- set_intake_key --
-- The public half of a mailbox's intake key: what the role that faces strangers seals with.
UPDATE mailbox SET intake_public = %(intake_public)s WHERE organisation_id = %(organisation)s AND id = %(mailbox)s;

-- insert_route --
-- An address leads to a mailbox. No row when the address is or ever was somebody's (R14).
INSERT INTO address_route (address, owner_organisation, mailbox_id, kind, state, is_alias)
VALUES (%(address)s, %(organisation)s, %(mailbox)s, %(kind)s, %(state)s, %(is_alias)s)
ON CONFLICT (address) DO NOTHING;

-- set_mailbox_status --
-- Open or close a mailbox.
UPDATE mailbox SET status = %(status)s WHERE organisation_id = %(organisation)s AND id = %(mailbox)s;

-- set_routes_of_mailbox --
-- Mail to a mailbox's addresses is taken or refused.
UPDATE address_route SET state = %(state)s WHERE owner_organisation = %(organisation)s AND mailbox_id = %(mailbox)s;

-- mailbox --
-- One mailbox.
SELECT id, organisation_id, kind, person_id, address, display_name, status, intake_public, not_for_urgent
  FROM mailbox
 WHERE organisation_id = %(organisation)s AND id = %(mailbox)s;

-- lock_mailbox --
-- One mailbox, held still while its members change.
SELECT id, organisation_id, kind, person_id, address, display_name, status, intake_public, not_for_urgent
  FROM mailbox
 WHERE organisation_id = %(organisation)s AND id = %(mailbox)s
   FOR UPDATE;

-- shared_mailboxes --
-- An organisation's shared mailboxes.
SELECT id, organisation_id, kind, person_id, address, display_name, status, intake_public, not_for_urgent
  FROM mailbox
 WHERE organisation_id = %(organisation)s AND kind = 'shared'
 ORDER BY address;

-- mailboxes_of --
-- What a person may open: their own mailbox first, then the shared ones by name; and which answer by themselves now.
SELECT mailbox.id, mailbox.organisation_id, mailbox.kind, mailbox.person_id, mailbox.address, mailbox.display_name,
       mailbox.status, mailbox.intake_public, mailbox.not_for_urgent, coalesce(member."right", 'owner') AS "right",
       EXISTS (SELECT 1 FROM autoreply
                WHERE autoreply.organisation_id = mailbox.organisation_id AND autoreply.mailbox_id = mailbox.id
                  AND autoreply.is_on AND (autoreply.starts_at IS NULL OR autoreply.starts_at <= %(at)s)
                  AND (autoreply.ends_at IS NULL OR autoreply.ends_at > %(at)s)) AS replies
  FROM mailbox
  LEFT JOIN mailbox_member AS member
         ON member.organisation_id = mailbox.organisation_id AND member.mailbox_id = mailbox.id
        AND member.person_id = %(person)s
 WHERE mailbox.organisation_id = %(organisation)s AND mailbox.status = 'open'
   AND (mailbox.person_id = %(person)s OR member.person_id IS NOT NULL)
 ORDER BY mailbox.person_id IS NULL, lower(mailbox.display_name), mailbox.id;

-- members_of --
-- Who may open a shared mailbox, owners first.
SELECT person.id AS person, person.given_name, person.family_name, person.title, person.job_title, person.status,
       member."right"
  FROM mailbox_member AS member
  JOIN person ON person.organisation_id = member.organisation_id AND person.id = member.person_id
 WHERE member.organisation_id = %(organisation)s AND member.mailbox_id = %(mailbox)s
 ORDER BY member."right" DESC, person.family_name, person.given_name, person.id;

-- member_counts --
-- How many members and owners a shared mailbox has (R53), and how many owners who can act (R54).
SELECT count(*) FILTER (WHERE member."right" = 'member') AS members,
       count(*) FILTER (WHERE member."right" = 'owner') AS owners,
       count(*) FILTER (WHERE member."right" = 'owner' AND person.status = 'active') AS active_owners
  FROM mailbox_member AS member
  JOIN person ON person.organisation_id = member.organisation_id AND person.id = member.person_id
 WHERE member.organisation_id = %(organisation)s AND member.mailbox_id = %(mailbox)s;

-- member_right --
-- The right that a person has in a shared mailbox.
SELECT "right" FROM mailbox_member
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND person_id = %(person)s;

-- set_member --
-- Give a person a right in a shared mailbox, or change the one they have.
INSERT INTO mailbox_member (organisation_id, mailbox_id, person_id, "right", added_at)
VALUES (%(organisation)s, %(mailbox)s, %(person)s, %(right)s, %(at)s)
ON CONFLICT (organisation_id, mailbox_id, person_id) DO UPDATE SET "right" = excluded."right";

-- delete_member --
-- A person may no longer open a shared mailbox.
DELETE FROM mailbox_member
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND person_id = %(person)s;

-- roles_of --
-- The roles that a person holds.
SELECT role FROM role_grant WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- holders_of_role --
-- How many people of an organisation, active ones, hold a role (R40).
SELECT count(*) AS holders
  FROM role_grant
  JOIN person ON person.organisation_id = role_grant.organisation_id AND person.id = role_grant.person_id
 WHERE role_grant.organisation_id = %(organisation)s AND role_grant.role = %(role)s AND person.status = 'active';

-- grant_role --
-- Give a role. No row when they have it.
INSERT INTO role_grant (organisation_id, person_id, role, granted_at)
VALUES (%(organisation)s, %(person)s, %(role)s, %(at)s)
ON CONFLICT DO NOTHING;

-- revoke_role --
-- Take a role away.
DELETE FROM role_grant WHERE organisation_id = %(organisation)s AND person_id = %(person)s AND role = %(role)s;

-- lock_roles --
-- One change of an organisation's administrators at a time.
SELECT id FROM organisation WHERE id = %(organisation)s FOR NO KEY UPDATE;

-- end_sessions_before --
-- Sessions begun before this moment are over: one row says it, however many there are.
UPDATE person SET sessions_not_before = %(at)s WHERE organisation_id = %(organisation)s AND id = %(person)s;

-- allow_mail_clients --
-- Whether a person may use mail clients of their own (R193).
UPDATE person SET mail_clients = %(allowed)s WHERE organisation_id = %(organisation)s AND id = %(person)s;

-- note_revocation --
-- Whoever holds a session or a connection open by this must let go: read by every process (R99).
INSERT INTO revocation (person_id, app_password_id, session_id) VALUES (%(person)s, %(app_password)s, %(session)s);

-- rights_of --
-- What a person is and holds, in one look: for authorize().
SELECT person.status,
       (SELECT mailbox.id FROM mailbox
         WHERE mailbox.organisation_id = person.organisation_id AND mailbox.person_id = person.id) AS personal,
       ARRAY(SELECT role FROM role_grant
              WHERE role_grant.organisation_id = person.organisation_id AND role_grant.person_id = person.id) AS roles,
       ARRAY(SELECT mailbox_id FROM mailbox_member AS member
              WHERE member.organisation_id = person.organisation_id AND member.person_id = person.id
              ORDER BY mailbox_id) AS shared,
       ARRAY(SELECT "right" FROM mailbox_member AS member
              WHERE member.organisation_id = person.organisation_id AND member.person_id = person.id
              ORDER BY mailbox_id) AS rights
  FROM person
 WHERE person.organisation_id = %(organisation)s AND person.id = %(person)s;

-- personal_names --
-- What the people of an organisation are called, as their mailboxes show it.
SELECT display_name FROM mailbox
 WHERE organisation_id = %(organisation)s AND kind = 'personal' AND status = 'open';
