-- Files too large for email: every statement. The organisation comes first, always.

-- lock_mailbox --
-- Who begins an upload from the same mailbox waits: what it holds is counted by one at a time.
SELECT id FROM mailbox WHERE organisation_id = %(organisation)s AND id = %(mailbox)s FOR NO KEY UPDATE;

-- insert --
-- A new file, of which nothing has come; no row when the mailbox would hold too much.
INSERT INTO large_file (organisation_id, name, mailbox_id, state, size, piece_octets, sealed, made_at, touched_at, expires_at)
SELECT %(organisation)s, %(name)s, %(mailbox)s, 'coming', %(size)s, %(piece)s, %(sealed)s, %(at)s, %(at)s, %(expires)s
 WHERE (SELECT coalesce(sum(f.size), 0) FROM large_file AS f
         WHERE f.organisation_id = %(organisation)s AND f.mailbox_id = %(mailbox)s) + %(size)s <= %(most)s
RETURNING id;

-- by_names --
-- Some files, by the names in their addresses.
SELECT id, name, mailbox_id, state, size, received, piece_octets, sealed, expires_at
  FROM large_file
 WHERE organisation_id = %(organisation)s AND name = ANY(%(names)s) AND expires_at > %(now)s;

-- of_outgoing --
-- The files that a message carries.
SELECT f.id, f.name, f.mailbox_id, f.state, f.size, f.received, f.piece_octets, f.sealed, f.expires_at
  FROM large_file_use AS u
  JOIN large_file AS f ON f.organisation_id = u.organisation_id AND f.id = u.file_id
 WHERE u.organisation_id = %(organisation)s AND u.outgoing_id = %(outgoing)s AND f.expires_at > %(now)s
   AND f.state = 'ready'
 ORDER BY f.id;

-- go_on --
-- One more piece has come, if this is where the file stands. Of two at the same place one goes on.
UPDATE large_file
   SET received = received + %(octets)s, touched_at = %(now)s,
       state = CASE WHEN received + %(octets)s = size THEN 'whole' ELSE 'coming' END
 WHERE organisation_id = %(organisation)s AND id = %(file)s AND state = 'coming' AND received = %(offset)s
   AND received + %(octets)s <= size AND expires_at > %(now)s
RETURNING received;

-- insert_piece --
-- The piece itself.
INSERT INTO large_file_piece (organisation_id, file_id, number, sealed)
VALUES (%(organisation)s, %(file)s, %(number)s, %(sealed)s);

-- piece --
-- One sealed piece, while the file may be read.
SELECT p.sealed
  FROM large_file_piece AS p
  JOIN large_file AS f ON f.organisation_id = p.organisation_id AND f.id = p.file_id
 WHERE p.organisation_id = %(organisation)s AND p.file_id = %(file)s AND p.number = %(number)s
   AND f.state IN ('whole', 'ready') AND f.expires_at > %(now)s;

-- claim_look --
-- Somebody looks at it now, and nobody else until then.
UPDATE large_file
   SET looked_until = %(until)s, touched_at = %(now)s
 WHERE organisation_id = %(organisation)s AND id = %(file)s AND state = 'whole'
   AND (looked_until IS NULL OR looked_until <= %(now)s)
RETURNING id;

-- give_up_look --
-- Nothing came of looking: whoever asks next looks.
UPDATE large_file SET looked_until = NULL
 WHERE organisation_id = %(organisation)s AND id = %(file)s AND state = 'whole';

-- unlooked --
-- What has come whole and nobody looks at.
SELECT name FROM large_file
 WHERE organisation_id = %(organisation)s AND state = 'whole' AND expires_at > %(now)s
   AND (looked_until IS NULL OR looked_until <= %(now)s)
 ORDER BY id
 LIMIT %(limit)s;

-- judge --
-- It may be sent, or may not.
UPDATE large_file
   SET state = %(state)s, sealed = %(sealed)s, touched_at = %(now)s, looked_until = NULL
 WHERE organisation_id = %(organisation)s AND id = %(file)s AND state = 'whole'
RETURNING id;

-- use --
-- A message carries these files of its sender's, and they are kept at least as long as it can be read.
WITH meant AS (
       UPDATE large_file
          SET expires_at = greatest(expires_at, %(until)s)
        WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND name = ANY(%(names)s)
          AND state = 'ready' AND expires_at > %(now)s
       RETURNING id
     )
INSERT INTO large_file_use (organisation_id, outgoing_id, file_id)
SELECT %(organisation)s, %(outgoing)s, id FROM meant
RETURNING file_id;

-- keep_longer --
-- The message can be read for longer: so can its files.
UPDATE large_file AS f
   SET expires_at = greatest(f.expires_at, %(until)s)
  FROM large_file_use AS u
 WHERE u.organisation_id = %(organisation)s AND u.outgoing_id = %(outgoing)s
   AND f.organisation_id = u.organisation_id AND f.id = u.file_id AND f.expires_at > %(now)s;

-- share --
-- These mailboxes may have these files from now on.
INSERT INTO large_file_share (organisation_id, mailbox_id, name, owner_organisation, outgoing_id, given_at, expires_at)
SELECT %(organisation)s, mailbox, name, %(owner)s, %(outgoing)s, %(now)s, %(until)s
  FROM unnest(%(mailboxes)s::bigint[]) AS mailbox, unnest(%(names)s::bytea[]) AS name
    ON CONFLICT DO NOTHING;

-- unshare --
-- A message was taken back: a mailbox may not have what came with it any more.
DELETE FROM large_file_share
 WHERE organisation_id = %(organisation)s AND mailbox_id = %(mailbox)s AND owner_organisation = %(owner)s
   AND outgoing_id = %(outgoing)s;

-- shared_with --
-- Whose a file is that one of these mailboxes may have.
SELECT owner_organisation, mailbox_id
  FROM large_file_share
 WHERE organisation_id = %(organisation)s AND name = %(name)s AND mailbox_id = ANY(%(mailboxes)s)
   AND expires_at > %(now)s
 LIMIT 1;

-- ended --
-- Files whose time is over, uploads that were given up, files that were refused; each taken by one worker.
SELECT id, mailbox_id, CASE WHEN expires_at <= %(now)s THEN 'expired' ELSE 'given up' END AS why
  FROM large_file
 WHERE organisation_id = %(organisation)s
   AND (expires_at <= %(now)s OR (state <> 'ready' AND touched_at <= %(untouched)s))
 ORDER BY id
 LIMIT %(limit)s
   FOR UPDATE SKIP LOCKED;

-- close --
-- Nobody can read it from now on, nor go on uploading it.
UPDATE large_file SET expires_at = least(expires_at, %(now)s)
 WHERE organisation_id = %(organisation)s AND id = ANY(%(files)s);

-- delete_pieces --
-- Some pieces of a file that is closed.
DELETE FROM large_file_piece
 WHERE organisation_id = %(organisation)s AND file_id = %(file)s
   AND number IN (SELECT number FROM large_file_piece
                   WHERE organisation_id = %(organisation)s AND file_id = %(file)s LIMIT %(limit)s);

-- delete --
-- The last of it, its key with it.
DELETE FROM large_file WHERE organisation_id = %(organisation)s AND id = %(file)s
RETURNING id;

-- forget_shares --
-- Leave to have a file that is no longer there.
DELETE FROM large_file_share WHERE organisation_id = %(organisation)s AND expires_at <= %(now)s;
