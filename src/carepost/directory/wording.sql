-- Statements of signatures and templates, and of how long a person may undo.

-- wordings --
-- What a mailbox has of one kind, or (mailbox null) the organisation.
SELECT id, version, kind, mailbox_id, allows_own, sealed, changed_by, changed_at
  FROM wording
 WHERE organisation_id = %(organisation)s AND is_current AND kind = %(kind)s
   AND mailbox_id IS NOT DISTINCT FROM %(mailbox)s
 ORDER BY id;

-- wording --
-- One, as it is now.
SELECT id, version, kind, mailbox_id, allows_own, sealed, changed_by, changed_at
  FROM wording
 WHERE organisation_id = %(organisation)s AND id = %(id)s AND is_current;

-- lock_wordings --
-- Two who change a mailbox's words, or the organisation's, at once do it one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('wording ' || %(organisation)s || ' ' || coalesce(%(mailbox)s, 0), 0)) AS locked;

-- retire_wording --
-- A newer version follows, or none.
UPDATE wording SET is_current = false
 WHERE organisation_id = %(organisation)s AND id = %(id)s AND is_current;

-- forget_older_wording --
-- Of a mailbox's own words only the newest is kept.
DELETE FROM wording
 WHERE organisation_id = %(organisation)s AND id = %(id)s AND mailbox_id IS NOT NULL AND NOT is_current;

-- insert_wording --
-- A new version.
INSERT INTO wording (organisation_id, id, version, kind, mailbox_id, allows_own, sealed, changed_by, changed_at)
VALUES (%(organisation)s, %(id)s, %(version)s, %(kind)s, %(mailbox)s, %(allows_own)s, %(sealed)s, %(person)s, %(at)s);

-- count_wordings --
-- How many there are of one kind.
SELECT count(*) AS many
  FROM wording
 WHERE organisation_id = %(organisation)s AND is_current AND kind = %(kind)s
   AND mailbox_id IS NOT DISTINCT FROM %(mailbox)s;

-- undo_seconds --
-- What a person has chosen.
SELECT undo_seconds FROM writing_choice WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- choose_undo --
-- A person chooses how long they may undo.
INSERT INTO writing_choice (organisation_id, person_id, undo_seconds)
VALUES (%(organisation)s, %(person)s, %(seconds)s)
    ON CONFLICT (organisation_id, person_id) DO UPDATE SET undo_seconds = excluded.undo_seconds;

-- choose_nothing --
-- As the organisation has it, again.
DELETE FROM writing_choice WHERE organisation_id = %(organisation)s AND person_id = %(person)s;
