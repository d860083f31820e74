-- Statements of the audit record. audit_event is only ever added to: no role may change or remove a row.

-- record_event --
-- Take the next number of the acting organisation's chain, seal the entry to the one before it, and write it.
-- Locks the head until the transaction ends, so it is the last statement of its transaction.
-- The hash is the one chain.py describes. Touches no row when no organisation is set.
WITH head AS (
  UPDATE audit_head
     SET seq  = seq + 1,
         hash = sha256(hash || int8send(organisation_id) || int8send(seq + 1) || %(body)s)
   WHERE organisation_id = nullif(current_setting('carepost.organisation', true), '')::bigint
  RETURNING organisation_id, seq, hash
)
INSERT INTO audit_event (organisation_id, seq, at, event, actor_kind, actor_name, actor_person, actor_organisation,
                         actor_session, actor_address, details, hash)
SELECT head.organisation_id, head.seq, %(at)s, %(event)s, %(actor_kind)s, %(actor_name)s, %(actor_person)s,
       %(actor_organisation)s, %(actor_session)s, %(actor_address)s, %(details)s, head.hash
  FROM head;

-- acting_organisation --
-- The organisation that this transaction acts for, if any.
SELECT nullif(current_setting('carepost.organisation', true), '')::bigint AS organisation;

-- start_chain --
-- An organisation's chain begins with the organisation.
INSERT INTO audit_head (organisation_id) VALUES (%(organisation)s);

-- head_of --
-- How far one organisation's chain has come.
SELECT organisation_id, seq, hash FROM audit_head WHERE organisation_id = %(organisation)s;

-- entries_after --
-- A page of one organisation's entries in order, after %(after)s: for verification and export.
SELECT organisation_id AS organisation, seq, at, event, actor_kind, actor_name, actor_person, actor_organisation,
       actor_session, actor_address, details, hash
  FROM audit_event
 WHERE organisation_id = %(organisation)s AND seq > %(after)s
 ORDER BY seq
 LIMIT %(limit)s;

-- latest_entries --
-- A page of one organisation's entries, newest first, before %(before)s: for the auditor's page.
SELECT organisation_id AS organisation, seq, at, event, actor_kind, actor_name, actor_person, actor_organisation,
       actor_session, actor_address, details, hash
  FROM audit_event
 WHERE organisation_id = %(organisation)s AND seq < %(before)s
   AND (%(event)s::text IS NULL OR event = %(event)s)
   AND (%(person)s::bigint IS NULL OR actor_person = %(person)s)
 ORDER BY seq DESC
 LIMIT %(limit)s;

-- chained_organisations --
-- Every organisation, for the walk over all chains. (organisation is not a tenant table.)
SELECT id FROM organisation ORDER BY id;

-- insert_checkpoint --
-- Keep a signed checkpoint beside the record it speaks of.
INSERT INTO audit_checkpoint (at, entries, note) VALUES (%(at)s, %(entries)s, %(note)s);

-- latest_checkpoint --
-- The newest checkpoint, to see whether anything has happened since.
SELECT id, at, entries, note FROM audit_checkpoint ORDER BY id DESC LIMIT 1;

-- checkpoints_after --
-- A page of checkpoints in order.
SELECT id, at, entries, note FROM audit_checkpoint WHERE id > %(after)s ORDER BY id LIMIT %(limit)s;
