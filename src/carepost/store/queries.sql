-- Every statement of the store. A name, a sentence, the SQL. Mailbox first, always: it is the distribution key.

-- insert_organisation_key --
-- Keep a version of an organisation's key, wrapped by the root key.
INSERT INTO keystore.organisation_key
       (organisation_id, version, root_version, wrapped, intake_public, intake_wrapped, created_at)
VALUES (%(organisation)s, %(version)s, %(root_version)s, %(wrapped)s, %(intake_public)s, %(intake_wrapped)s, %(at)s);

-- organisation_keys --
-- Every version of an organisation's key, the newest first.
SELECT version, root_version, wrapped, intake_public, intake_wrapped
  FROM keystore.organisation_key
 WHERE organisation_id = %(organisation)s
 ORDER BY version DESC;

-- organisation_intake --
-- The public half that quarantine and trace details of an organisation are sealed to now.
SELECT version, intake_public
  FROM keystore.organisation_key
 WHERE organisation_id = %(organisation)s AND retired_at IS NULL
 ORDER BY version DESC
 LIMIT 1;

-- rewrap_organisation_key --
-- Put an organisation's key under a newer root key; nothing happens if somebody already did.
UPDATE keystore.organisation_key
   SET root_version = %(root_version)s, wrapped = %(wrapped)s
 WHERE organisation_id = %(organisation)s AND version = %(version)s AND root_version < %(root_version)s;

-- retire_organisation_keys --
-- Mark older versions retired once no mailbox key is wrapped by them; what they sealed can still be opened.
UPDATE keystore.organisation_key AS old
   SET retired_at = %(at)s
 WHERE old.organisation_id = %(organisation)s AND old.version < %(version)s AND old.retired_at IS NULL
   AND NOT EXISTS (
         SELECT 1 FROM keystore.mailbox_key AS held
          WHERE held.organisation_id = old.organisation_id AND held.organisation_version = old.version
       );

-- insert_mailbox_key --
-- Keep a mailbox's key, wrapped by its organisation's.
INSERT INTO keystore.mailbox_key
       (mailbox_id, organisation_id, organisation_version, wrapped, intake_public, intake_wrapped, created_at)
VALUES (%(mailbox)s, %(organisation)s, %(version)s, %(wrapped)s, %(intake_public)s, %(intake_wrapped)s, %(at)s);

-- mailbox_key --
-- A mailbox's key as it is kept.
SELECT organisation_version, wrapped, intake_public, intake_wrapped
  FROM keystore.mailbox_key
 WHERE mailbox_id = %(mailbox)s;

-- mailbox_keys_of_older_version --
-- Some mailboxes whose key an older version of the organisation's key still wraps; locked, so that two rotations share the work.
SELECT mailbox_id, organisation_version, wrapped
  FROM keystore.mailbox_key
 WHERE organisation_id = %(organisation)s AND organisation_version < %(version)s
 ORDER BY mailbox_id
 LIMIT %(limit)s
   FOR UPDATE SKIP LOCKED;

-- rewrap_mailbox_key --
-- Put a mailbox's key under a newer version of the organisation's key.
UPDATE keystore.mailbox_key
   SET organisation_version = %(version)s, wrapped = %(wrapped)s
 WHERE mailbox_id = %(mailbox)s;

-- insert_object --
-- Keep one sealed message body of an organisation.
INSERT INTO object (organisation_id, id, size, summary, sealed, digest, words, created_at)
VALUES (%(organisation)s, %(object)s, %(size)s, %(summary)s, %(sealed)s, %(digest)s, %(words)s, %(at)s);

-- lay_in --
-- Give a mailbox an object: next UID and MODSEQ of the folder meant for it, key, flags, and a word to those who wait. One statement.
WITH slot AS (
       UPDATE folder
          SET uidnext = uidnext + 1, highest_modseq = highest_modseq + 1, messages = messages + 1,
              unseen = unseen + CASE WHEN %(flags)s::int & 1 = 0 THEN 1 ELSE 0 END, octets = octets + %(size)s
        WHERE mailbox_id = %(mailbox)s AND special_use = %(special_use)s
    RETURNING id, uidvalidity, uidnext - 1 AS uid, highest_modseq AS modseq
     ), wrapped AS (
       INSERT INTO keystore.object_key (mailbox_id, object_id, organisation_id, wrapped)
       SELECT %(mailbox)s, %(object)s, %(organisation)s, %(wrapped)s FROM slot
           ON CONFLICT DO NOTHING
     ), tail AS (
       INSERT INTO search_tail (mailbox_id, object_id, organisation_id)
       SELECT %(mailbox)s, %(object)s, %(organisation)s FROM slot
           ON CONFLICT DO NOTHING
     ), laid AS (
       INSERT INTO message (mailbox_id, folder_id, uid, organisation_id, object_id, size, internal_date, trace)
       SELECT %(mailbox)s, slot.id, slot.uid, %(organisation)s, %(object)s, %(size)s, %(at)s, %(trace)s::text FROM slot
     ), state AS (
       INSERT INTO message_state (mailbox_id, folder_id, uid, organisation_id, flags, keywords, modseq)
       SELECT %(mailbox)s, slot.id, slot.uid, %(organisation)s, %(flags)s, %(keywords)s::text[], slot.modseq FROM slot
     )
SELECT slot.id, slot.uidvalidity, slot.uid, slot.modseq,
       pg_notify('mail', %(mailbox)s::text || ':' || slot.id || ':' || slot.modseq)
  FROM slot;

-- folders --
-- Every folder of a mailbox.
SELECT id, name, special_use, uidvalidity, uidnext, highest_modseq, messages, unseen, octets, subscribed
  FROM folder
 WHERE mailbox_id = %(mailbox)s
 ORDER BY id;

-- folder --
-- One folder of a mailbox, by number.
SELECT id, name, special_use, uidvalidity, uidnext, highest_modseq, messages, unseen, octets, subscribed
  FROM folder
 WHERE mailbox_id = %(mailbox)s AND id = %(folder)s;

-- insert_folder --
-- Make a folder; nothing is returned when the mailbox has one of that name.
INSERT INTO folder (mailbox_id, organisation_id, name, name_token, special_use, created_at)
VALUES (%(mailbox)s, %(organisation)s, %(name)s, %(name_token)s, %(special_use)s, %(at)s)
ON CONFLICT DO NOTHING
RETURNING id;

-- rename_folder --
-- Give a folder another name.
UPDATE folder SET name = %(name)s, name_token = %(name_token)s
 WHERE mailbox_id = %(mailbox)s AND id = %(folder)s;

-- subscribe_folder --
-- Note whether the person wants to see the folder in lists.
UPDATE folder SET subscribed = %(subscribed)s
 WHERE mailbox_id = %(mailbox)s AND id = %(folder)s;

-- delete_folder --
-- Remove an empty folder.
DELETE FROM folder
 WHERE mailbox_id = %(mailbox)s AND id = %(folder)s AND messages = 0;

-- forget_expunged --
-- Drop the list of what went from a folder that goes itself.
DELETE FROM expunged WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s;

-- lock_folder --
-- Take the folder for a change: whoever holds it gives out UIDs and MODSEQs.
SELECT highest_modseq, uidnext, uidvalidity
  FROM folder
 WHERE mailbox_id = %(mailbox)s AND id = %(folder)s
   FOR UPDATE;

-- settle_folder --
-- Write back the counters of a folder that was changed.
UPDATE folder
   SET highest_modseq = %(modseq)s, uidnext = uidnext + %(uids)s, messages = messages + %(messages)s,
       unseen = unseen + %(unseen)s, octets = octets + %(octets)s
 WHERE mailbox_id = %(mailbox)s AND id = %(folder)s;

-- outlines --
-- Every message of a folder, in the order of UIDs, with no more than numbering needs.
SELECT uid, flags, modseq, keywords
  FROM message_state
 WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s AND modseq > %(since)s
 ORDER BY uid;

-- rows_of --
-- The rows of some messages of a folder.
SELECT m.uid, s.flags, s.keywords, s.modseq, m.size, m.internal_date, m.object_id, m.trace
  FROM message AS m
  JOIN message_state AS s
    ON s.mailbox_id = m.mailbox_id AND s.folder_id = m.folder_id AND s.uid = m.uid
 WHERE m.mailbox_id = %(mailbox)s AND m.folder_id = %(folder)s AND m.uid = ANY(%(uids)s)
 ORDER BY m.uid;

-- rows_between --
-- The rows of a run of messages of a folder.
SELECT m.uid, s.flags, s.keywords, s.modseq, m.size, m.internal_date, m.object_id, m.trace
  FROM message AS m
  JOIN message_state AS s
    ON s.mailbox_id = m.mailbox_id AND s.folder_id = m.folder_id AND s.uid = m.uid
 WHERE m.mailbox_id = %(mailbox)s AND m.folder_id = %(folder)s AND m.uid BETWEEN %(low)s AND %(high)s
 ORDER BY m.uid;

-- summaries_of --
-- The sealed summaries of some messages, with the keys to open them.
SELECT m.uid, m.object_id, o.summary, k.wrapped
  FROM message AS m
  JOIN object AS o ON o.organisation_id = m.organisation_id AND o.id = m.object_id
  JOIN keystore.object_key AS k ON k.mailbox_id = m.mailbox_id AND k.object_id = m.object_id
 WHERE m.mailbox_id = %(mailbox)s AND m.folder_id = %(folder)s AND m.uid = ANY(%(uids)s);

-- bodies_of --
-- The sealed bodies of some messages, with the keys to open them.
SELECT m.uid, m.object_id, o.sealed, o.digest, k.wrapped
  FROM message AS m
  JOIN object AS o ON o.organisation_id = m.organisation_id AND o.id = m.object_id
  JOIN keystore.object_key AS k ON k.mailbox_id = m.mailbox_id AND k.object_id = m.object_id
 WHERE m.mailbox_id = %(mailbox)s AND m.folder_id = %(folder)s AND m.uid = ANY(%(uids)s);

-- keep_wraps --
-- Replace keys in their arrival form by the form that is quick to open; those that somebody has in hand can wait.
WITH free AS (
       SELECT mailbox_id, object_id
         FROM keystore.object_key
        WHERE mailbox_id = %(mailbox)s AND object_id = ANY(%(objects)s::bytea[])
          FOR UPDATE SKIP LOCKED
     )
UPDATE keystore.object_key AS k
   SET wrapped = fresh.wrapped
  FROM free JOIN unnest(%(objects)s::bytea[], %(wraps)s::bytea[]) AS fresh (object_id, wrapped) USING (object_id)
 WHERE k.mailbox_id = free.mailbox_id AND k.object_id = free.object_id;

-- page --
-- One page of a folder, newest first, beginning after the last line of the page before.
SELECT m.uid, s.flags, s.keywords, s.modseq, m.size, m.internal_date, m.object_id, m.trace, o.summary, k.wrapped
  FROM message AS m
  JOIN message_state AS s
    ON s.mailbox_id = m.mailbox_id AND s.folder_id = m.folder_id AND s.uid = m.uid
  JOIN object AS o ON o.organisation_id = m.organisation_id AND o.id = m.object_id
  JOIN keystore.object_key AS k ON k.mailbox_id = m.mailbox_id AND k.object_id = m.object_id
 WHERE m.mailbox_id = %(mailbox)s AND m.folder_id = %(folder)s
   AND (m.internal_date, m.uid) < (%(before_date)s, %(before_uid)s)
   AND s.flags & %(mask)s = %(value)s
 ORDER BY m.internal_date DESC, m.uid DESC
 LIMIT %(limit)s;

-- set_flags --
-- Change flags of some messages; says what they were and what they are. The folder is locked by the caller.
UPDATE message_state AS s
   SET flags = fresh.flags, keywords = fresh.keywords, modseq = %(modseq)s
  FROM (
         SELECT uid, flags AS before, (flags & ~%(clear)s::int | %(set)s::int)::smallint AS flags,
                CASE
                  WHEN %(replace)s THEN %(add)s::text[]
                  ELSE ARRAY(
                         SELECT DISTINCT word
                           FROM unnest(keywords || %(add)s::text[]) AS word
                          WHERE word <> ALL(%(remove)s::text[])
                          ORDER BY word
                       )
                END AS keywords
           FROM message_state
          WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s AND uid = ANY(%(uids)s)
            AND (%(unchanged_since)s::bigint IS NULL OR modseq <= %(unchanged_since)s::bigint)
       ) AS fresh
 WHERE s.mailbox_id = %(mailbox)s AND s.folder_id = %(folder)s AND s.uid = fresh.uid
   AND (s.flags <> fresh.flags OR s.keywords <> fresh.keywords)
RETURNING s.uid, s.flags, s.modseq, s.keywords, fresh.before;

-- changed_since --
-- Which of some messages changed after a MODSEQ.
SELECT uid
  FROM message_state
 WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s AND uid = ANY(%(uids)s) AND modseq > %(since)s
 ORDER BY uid;

-- deleted_uids --
-- Messages of a folder that carry \Deleted.
SELECT uid
  FROM message_state
 WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s AND flags & 8 = 8
 ORDER BY uid;

-- remove_messages --
-- Take messages out of a folder and say what they were. The folder is locked by the caller.
WITH gone AS (
       DELETE FROM message
        WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s AND uid = ANY(%(uids)s)
    RETURNING uid, object_id, size
     ), states AS (
       DELETE FROM message_state
        WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s AND uid = ANY(%(uids)s)
    RETURNING uid, flags
     ), noted AS (
       INSERT INTO expunged (mailbox_id, folder_id, uid, organisation_id, modseq)
       SELECT %(mailbox)s, %(folder)s, uid, %(organisation)s, %(modseq)s FROM gone
     )
SELECT gone.uid, gone.object_id, gone.size, states.flags
  FROM gone JOIN states USING (uid)
 ORDER BY gone.uid;

-- hold_keys --
-- Take some mailboxes' keys of some objects: until we commit nobody else destroys them, nor copies what they open.
-- Whoever gives a mailbox another copy, or takes one away, has folders first and then these, in this order.
SELECT mailbox_id, object_id, wrapped
  FROM keystore.object_key
 WHERE mailbox_id = ANY(%(mailboxes)s) AND object_id = ANY(%(objects)s)
 ORDER BY mailbox_id, object_id
   FOR UPDATE;

-- shred --
-- Destroy a mailbox's keys of objects that it no longer holds in any folder: from here they cannot be read by it.
-- The keys are held by the caller, in a statement before: only so does this one see every copy made meanwhile.
WITH forgotten AS (
       DELETE FROM keystore.object_key AS k
        WHERE k.mailbox_id = %(mailbox)s AND k.object_id = ANY(%(objects)s)
          AND NOT EXISTS (
                SELECT 1 FROM message AS m WHERE m.mailbox_id = k.mailbox_id AND m.object_id = k.object_id
              )
    RETURNING k.object_id
     )
DELETE FROM search_tail AS t
 USING forgotten
 WHERE t.mailbox_id = %(mailbox)s AND t.object_id = forgotten.object_id;

-- purge_objects --
-- Remove bodies that nobody has a key to; younger ones are left for walks still under way.
DELETE FROM object AS o
 WHERE o.organisation_id = %(organisation)s AND o.created_at < %(before)s
   AND NOT EXISTS (SELECT 1 FROM keystore.object_key AS k WHERE k.object_id = o.id)
   AND NOT EXISTS (SELECT 1 FROM held_message AS h WHERE h.organisation_id = o.organisation_id AND h.object_id = o.id)
   AND NOT EXISTS (SELECT 1 FROM delivery AS d WHERE d.organisation_id = o.organisation_id AND d.object_id = o.id)
   AND NOT EXISTS (SELECT 1 FROM outgoing AS w WHERE w.organisation_id = o.organisation_id AND w.object_id = o.id)
   AND NOT EXISTS (SELECT 1 FROM secure_message AS p WHERE p.organisation_id = o.organisation_id AND p.object_id = o.id);

-- objects_of --
-- What some messages of a folder are.
SELECT DISTINCT object_id
  FROM message
 WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s AND uid = ANY(%(uids)s);

-- copy_messages --
-- Lay copies of some messages into a locked folder of a mailbox, in the order of their UIDs: those whose keys we hold.
WITH source AS (
       SELECT m.uid, m.object_id, m.size, m.internal_date, m.trace, s.flags, s.keywords,
              row_number() OVER (ORDER BY m.uid) - 1 AS place
         FROM message AS m
         JOIN message_state AS s
           ON s.mailbox_id = m.mailbox_id AND s.folder_id = m.folder_id AND s.uid = m.uid
        WHERE m.mailbox_id = %(mailbox)s AND m.folder_id = %(folder)s AND m.uid = ANY(%(uids)s)
          AND m.object_id = ANY(%(objects)s)
     ), laid AS (
       INSERT INTO message (mailbox_id, folder_id, uid, organisation_id, object_id, size, internal_date, trace)
       SELECT %(to_mailbox)s, %(to_folder)s, %(first_uid)s + place, %(organisation)s, object_id, size, internal_date, trace
         FROM source
     ), states AS (
       INSERT INTO message_state (mailbox_id, folder_id, uid, organisation_id, flags, keywords, modseq)
       SELECT %(to_mailbox)s, %(to_folder)s, %(first_uid)s + place, %(organisation)s, flags, keywords, %(modseq)s
         FROM source
     )
SELECT uid, %(first_uid)s + place AS new_uid, object_id, size, flags
  FROM source
 ORDER BY uid;

-- insert_object_keys --
-- Give a mailbox keys of objects. One that it has is written again, not passed over: so it is held until we commit,
-- and one that is being destroyed at this moment comes back.
INSERT INTO keystore.object_key (mailbox_id, object_id, organisation_id, wrapped)
SELECT %(mailbox)s, fresh.object_id, %(organisation)s, fresh.wrapped
  FROM unnest(%(objects)s::bytea[], %(wraps)s::bytea[]) AS fresh (object_id, wrapped)
 ORDER BY fresh.object_id
    ON CONFLICT (mailbox_id, object_id) DO UPDATE SET wrapped = excluded.wrapped;

-- insert_search_tail --
-- Note objects of a mailbox that its search index does not know yet.
INSERT INTO search_tail (mailbox_id, object_id, organisation_id)
SELECT %(mailbox)s, object_id, %(organisation)s
  FROM unnest(%(objects)s::bytea[]) AS fresh (object_id)
ON CONFLICT DO NOTHING;

-- vanished --
-- UIDs that went from a folder after a MODSEQ. RFC 7162 §3.2.5.
SELECT uid
  FROM expunged
 WHERE mailbox_id = %(mailbox)s AND folder_id = %(folder)s AND modseq > %(since)s
 ORDER BY uid;

-- insert_message --
-- Lay one message into a folder locked by the caller.
WITH laid AS (
       INSERT INTO message (mailbox_id, folder_id, uid, organisation_id, object_id, size, internal_date, trace)
       VALUES (%(mailbox)s, %(folder)s, %(uid)s, %(organisation)s, %(object)s, %(size)s, %(internal_date)s, %(trace)s)
     )
INSERT INTO message_state (mailbox_id, folder_id, uid, organisation_id, flags, keywords, modseq)
VALUES (%(mailbox)s, %(folder)s, %(uid)s, %(organisation)s, %(flags)s, %(keywords)s::text[], %(modseq)s);

-- find_by_trace --
-- Where a message that came by a walk lies now in a mailbox.
SELECT folder_id, uid
  FROM message
 WHERE mailbox_id = %(mailbox)s AND trace = %(trace)s
 ORDER BY folder_id, uid;

-- tail --
-- Objects that a mailbox's search index does not know yet, with their sealed words.
SELECT t.object_id, o.summary, o.words, k.wrapped
  FROM search_tail AS t
  JOIN object AS o ON o.organisation_id = t.organisation_id AND o.id = t.object_id
  JOIN keystore.object_key AS k ON k.mailbox_id = t.mailbox_id AND k.object_id = t.object_id
 WHERE t.mailbox_id = %(mailbox)s
 ORDER BY t.object_id
 LIMIT %(limit)s;

-- indexed_again --
-- Objects of segments that are to be merged, with their sealed words; those the mailbox gave up are left out.
SELECT k.object_id, o.summary, o.words, k.wrapped
  FROM keystore.object_key AS k
  JOIN object AS o ON o.organisation_id = k.organisation_id AND o.id = k.object_id
 WHERE k.mailbox_id = %(mailbox)s AND k.object_id = ANY(%(objects)s);

-- tail_size --
-- How many objects wait to be folded into a mailbox's search index.
SELECT count(*) AS objects FROM search_tail WHERE mailbox_id = %(mailbox)s;

-- segments --
-- The numbers of a mailbox's search segments; a segment never changes under its number.
SELECT number, objects FROM search_segment WHERE mailbox_id = %(mailbox)s ORDER BY number;

-- segment --
-- One sealed segment of a mailbox's search index.
SELECT sealed FROM search_segment WHERE mailbox_id = %(mailbox)s AND number = %(number)s;

-- lock_segments --
-- Change a mailbox's segments one worker at a time.
SELECT pg_advisory_xact_lock(hashtextextended('search segments ' || %(mailbox)s::text, 0));

-- insert_segment --
-- Keep a new search segment; nothing is returned if another worker was quicker. Numbers only grow: the newest stays.
INSERT INTO search_segment (mailbox_id, number, organisation_id, objects, sealed, created_at)
SELECT %(mailbox)s, %(number)s, %(organisation)s, %(objects)s, %(sealed)s, %(at)s
 WHERE NOT EXISTS (SELECT 1 FROM search_segment WHERE mailbox_id = %(mailbox)s AND number >= %(number)s)
RETURNING number;

-- delete_segments --
-- Drop segments that a larger one has taken over.
DELETE FROM search_segment WHERE mailbox_id = %(mailbox)s AND number = ANY(%(numbers)s);

-- fold_tail --
-- These objects are in a segment now.
DELETE FROM search_tail WHERE mailbox_id = %(mailbox)s AND object_id = ANY(%(objects)s);

-- uids_of_objects --
-- Where some objects lie in a mailbox, one folder or all, newest first.
SELECT m.folder_id, m.uid
  FROM message AS m
  JOIN message_state AS s
    ON s.mailbox_id = m.mailbox_id AND s.folder_id = m.folder_id AND s.uid = m.uid
 WHERE m.mailbox_id = %(mailbox)s AND m.object_id = ANY(%(objects)s)
   AND (%(folder)s::bigint IS NULL OR m.folder_id = %(folder)s::bigint)
   AND (%(after)s::timestamptz IS NULL OR m.internal_date >= %(after)s::timestamptz)
   AND (%(before)s::timestamptz IS NULL OR m.internal_date < %(before)s::timestamptz)
   AND s.flags & %(mask)s = %(value)s
 ORDER BY m.internal_date DESC, m.uid DESC
 LIMIT %(limit)s;

-- uids_by_date --
-- Messages of a mailbox, one folder or all, within dates and flags, newest first.
SELECT m.folder_id, m.uid
  FROM message AS m
  JOIN message_state AS s
    ON s.mailbox_id = m.mailbox_id AND s.folder_id = m.folder_id AND s.uid = m.uid
 WHERE m.mailbox_id = %(mailbox)s
   AND (%(folder)s::bigint IS NULL OR m.folder_id = %(folder)s::bigint)
   AND (%(after)s::timestamptz IS NULL OR m.internal_date >= %(after)s::timestamptz)
   AND (%(before)s::timestamptz IS NULL OR m.internal_date < %(before)s::timestamptz)
   AND s.flags & %(mask)s = %(value)s
 ORDER BY m.internal_date DESC, m.uid DESC
 LIMIT %(limit)s;

-- long_tails --
-- Mailboxes of the organisation whose search index has fallen behind, the longest tails first.
SELECT mailbox_id
  FROM search_tail
 GROUP BY mailbox_id
HAVING count(*) > %(longer_than)s
 ORDER BY count(*) DESC
 LIMIT %(limit)s;
