-- Statements of the directory that everybody searches, and of each mailbox's correspondents.

-- publish_entries --
-- A mailbox and its addresses, as the directory shows them now.
INSERT INTO directory_entry AS entry (address, owner_organisation, mailbox_id, kind, name, job, state, not_for_urgent)
SELECT route.address, mailbox.organisation_id, mailbox.id, mailbox.kind, mailbox.display_name,
       coalesce(person.job_title, ''),
       CASE WHEN route.state = 'closed' THEN 'gone' WHEN route.state = 'pending' THEN 'joining'
            WHEN person.status = 'leaver' THEN 'leaver' ELSE 'open' END,
       mailbox.not_for_urgent
  FROM address_route AS route
  JOIN mailbox ON mailbox.organisation_id = route.owner_organisation AND mailbox.id = route.mailbox_id
  LEFT JOIN person ON person.organisation_id = mailbox.organisation_id AND person.id = mailbox.person_id
 WHERE mailbox.organisation_id = %(organisation)s AND mailbox.id = %(mailbox)s
    ON CONFLICT (address) DO UPDATE
   SET name = excluded.name, job = excluded.job, state = excluded.state, not_for_urgent = excluded.not_for_urgent;

-- forget_words --
-- The words of a mailbox's entries, before they are written anew.
DELETE FROM directory_word AS word
 USING directory_entry AS entry
 WHERE entry.owner_organisation = %(organisation)s AND entry.mailbox_id = %(mailbox)s AND word.address = entry.address;

-- publish_words --
-- The words by which a mailbox is found: of its name and of its addresses, lower case, without accents.
INSERT INTO directory_word (word, address)
SELECT DISTINCT word, entry.address
  FROM directory_entry AS entry,
       regexp_split_to_table(
         lower(regexp_replace(normalize(entry.name || ' ' || split_part(entry.address, '@', 1), NFKD), '[\u0300-\u036f]', '', 'g')),
         '[^[:alnum:]]+') AS word
 WHERE entry.owner_organisation = %(organisation)s AND entry.mailbox_id = %(mailbox)s AND word <> '';

-- mailbox_of_person --
-- Whose personal mailbox is whose.
SELECT id FROM mailbox WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- find_entries --
-- Whoever has words that begin so, our own organisation first. Of a beginning that thousands share, the first few hundred.
WITH hits AS (
       (SELECT word.address
          FROM directory_word AS word
         WHERE word.word >= %(first_from)s AND word.word < %(first_to)s
           AND NOT EXISTS (
                 SELECT 1 FROM unnest(%(froms)s::text[], %(tos)s::text[]) AS other (low, high)
                  WHERE NOT EXISTS (SELECT 1 FROM directory_word AS further
                                     WHERE further.address = word.address
                                       AND further.word >= other.low AND further.word < other.high))
         LIMIT 500)
       UNION
       (SELECT word.address
          FROM directory_entry AS entry
          JOIN directory_word AS word ON word.address = entry.address
         WHERE entry.owner_organisation = %(organisation)s
           AND word.word >= %(first_from)s AND word.word < %(first_to)s
           AND NOT EXISTS (
                 SELECT 1 FROM unnest(%(froms)s::text[], %(tos)s::text[]) AS other (low, high)
                  WHERE NOT EXISTS (SELECT 1 FROM directory_word AS further
                                     WHERE further.address = word.address
                                       AND further.word >= other.low AND further.word < other.high))
         LIMIT 500)
     )
SELECT entry.address, entry.owner_organisation, entry.mailbox_id, entry.kind, entry.name, entry.job, entry.state,
       entry.not_for_urgent, organisation.name AS organisation_name
  FROM hits
  JOIN directory_entry AS entry ON entry.address = hits.address
  JOIN organisation ON organisation.id = entry.owner_organisation
 WHERE entry.state = 'open'
 ORDER BY entry.owner_organisation <> %(organisation)s, lower(entry.name), entry.address
 LIMIT %(limit)s;

-- entries_at --
-- The entries of these addresses, in whatever state.
SELECT entry.address, entry.owner_organisation, entry.mailbox_id, entry.kind, entry.name, entry.job, entry.state,
       entry.not_for_urgent, organisation.name AS organisation_name
  FROM directory_entry AS entry
  JOIN organisation ON organisation.id = entry.owner_organisation
 WHERE entry.address = ANY(%(keys)s);

-- note_correspondents --
-- These were written to once more. In the order of their tokens, so that two writers wait for each other and no more.
INSERT INTO correspondent AS known (organisation_id, mailbox_id, token, sealed, times, last_at)
SELECT %(organisation)s, %(mailbox)s, token, sealed, 1, %(at)s
  FROM unnest(%(tokens)s::bytea[], %(sealed)s::bytea[]) AS given (token, sealed)
    ON CONFLICT (organisation_id, mailbox_id, token) DO UPDATE
   SET times = known.times + 1, last_at = greatest(known.last_at, excluded.last_at), forgotten = false,
       -- A name that was known stays when this message gave none.
       sealed = CASE WHEN known.token = ANY(%(named)s::bytea[]) THEN excluded.sealed ELSE known.sealed END;

-- note_together --
-- These pairs were written to in one message.
INSERT INTO correspondent_together AS pair (organisation_id, mailbox_id, one, other, last_at)
SELECT %(organisation)s, %(mailbox)s, one, other, %(at)s
  FROM unnest(%(ones)s::bytea[], %(others)s::bytea[]) AS given (one, other)
    ON CONFLICT (organisation_id, mailbox_id, one, other) DO UPDATE
   SET times = pair.times + 1, last_at = greatest(pair.last_at, excluded.last_at);

-- together --
-- How often these were written to together with any of those.
SELECT one, other, times
  FROM correspondent_together
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s
   AND (one = ANY(%(tokens)s) OR other = ANY(%(tokens)s))
 ORDER BY times DESC
 LIMIT %(limit)s;

-- known --
-- What is known of these addresses, without opening any.
SELECT token, times, last_at, consented_at, patient, verified_at, verified_how, denied_at
  FROM correspondent
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND token = ANY(%(tokens)s);

-- correspondents --
-- A mailbox's correspondents, those written to most lately first.
SELECT token, sealed, times, last_at
  FROM correspondent
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND NOT forgotten AND times > 0
 ORDER BY last_at DESC NULLS LAST
 LIMIT %(limit)s;

-- meet_correspondent --
-- Somebody to be noted something of, written to or not.
INSERT INTO correspondent (organisation_id, mailbox_id, token, sealed)
VALUES (%(organisation)s, %(mailbox)s, %(token)s, %(sealed)s)
    ON CONFLICT (organisation_id, mailbox_id, token) DO NOTHING;

-- set_consent --
-- They agree to plain email, or (null) no more.
UPDATE correspondent SET consented_at = %(at)s, consented_to = %(person)s
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND token = %(token)s;

-- set_patient --
-- They are a patient, or they are not.
UPDATE correspondent SET patient = %(patient)s
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND token = %(token)s;

-- set_verified --
-- Somebody made sure that the address is theirs (R178).
UPDATE correspondent SET verified_at = %(at)s, verified_how = %(how)s, denied_at = NULL
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND token = %(token)s;

-- set_denied --
-- Whoever reads the address says that they are not who was meant: no check of before counts any more (R130).
UPDATE correspondent SET verified_at = NULL, verified_how = NULL, denied_at = %(at)s
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND token = %(token)s;

-- forget_correspondent --
-- Not suggested any more, and a stranger again; what is known of consent and checks stays (R150).
UPDATE correspondent SET forgotten = true, times = 0
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND token = %(token)s;

-- forget_strangers --
-- Rows that say nothing any more: nobody was written to for so long, and there is no consent, check or flag to keep.
DELETE FROM correspondent
 WHERE organisation_id = %(organisation)s AND consented_at IS NULL AND verified_at IS NULL AND denied_at IS NULL
   AND NOT patient AND (forgotten OR last_at < %(before)s);

-- forget_company --
-- Pairs that have not been written to together for so long.
DELETE FROM correspondent_together WHERE organisation_id = %(organisation)s AND last_at < %(before)s;
