-- Statements about who a message goes to: who has written to us, what was sent lately, storms of replies, and how often
-- people were asked.

-- heard_from --
-- How often each of these senders' mail reached a mailbox, while verdicts are kept.
SELECT token.token, count(*) AS times
  FROM verdict_token AS token
  JOIN verdict_recipient AS recipient
    ON recipient.organisation_id = token.organisation_id AND recipient.trace = token.trace
 WHERE token.organisation_id = %(organisation)s AND token.kind = 'sender' AND token.token = ANY(%(tokens)s)
   AND recipient.mailbox_id = %(mailbox)s AND recipient.action IN ('deliver it', 'deliver it with a warning')
 GROUP BY token.token;

-- begin_count --
-- Somebody sends for the first time.
INSERT INTO sending_count (organisation_id, person_id, day) VALUES (%(organisation)s, %(person)s, %(day)s)
    ON CONFLICT DO NOTHING;

-- lock_count --
-- What a person has sent lately, held still: the next message of theirs waits for this one.
SELECT recent, day, recipients FROM sending_count
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s
   FOR UPDATE;

-- set_count --
-- ... and this one counted.
UPDATE sending_count SET recent = %(recent)s, day = %(day)s, recipients = %(recipients)s
 WHERE organisation_id = %(organisation)s AND person_id = %(person)s;

-- storm --
-- Whether a conversation is closed to replies to all.
SELECT blocked_until FROM reply_storm WHERE thread = %(thread)s;

-- begin_storm --
-- A conversation is replied to for the first time.
INSERT INTO reply_storm (thread, last_at) VALUES (%(thread)s, %(now)s) ON CONFLICT DO NOTHING;

-- lock_storm --
-- Its replies, held still.
SELECT recent, people, blocked_until FROM reply_storm WHERE thread = %(thread)s FOR UPDATE;

-- set_storm --
-- ... and this one counted.
UPDATE reply_storm SET recent = %(recent)s, people = %(people)s, blocked_until = %(blocked_until)s, last_at = %(now)s
 WHERE thread = %(thread)s;

-- forget_storms --
-- Conversations that have been quiet for long.
DELETE FROM reply_storm WHERE last_at < %(before)s AND (blocked_until IS NULL OR blocked_until < %(before)s);

-- note_prompts --
-- Rules asked, and were answered. In the order of their names, so that two senders wait for each other and no more.
INSERT INTO prompt_count AS counted (organisation_id, day, rule, shard, shown, accepted, overridden)
SELECT %(organisation)s, %(day)s, rule, %(shard)s, shown, accepted, overridden
  FROM unnest(%(rules)s::text[], %(shown)s::integer[], %(accepted)s::integer[], %(overridden)s::integer[])
       AS given (rule, shown, accepted, overridden)
    ON CONFLICT (organisation_id, day, rule, shard) DO UPDATE
   SET shown = counted.shown + excluded.shown, accepted = counted.accepted + excluded.accepted,
       overridden = counted.overridden + excluded.overridden;

-- prompts --
-- How often each rule asked and what was answered, since a day.
SELECT rule, sum(shown)::bigint AS shown, sum(accepted)::bigint AS accepted, sum(overridden)::bigint AS overridden
  FROM prompt_count
 WHERE organisation_id = %(organisation)s AND day >= %(since)s
 GROUP BY rule
 ORDER BY rule;

-- forget_prompts --
-- Counts of long ago.
DELETE FROM prompt_count WHERE organisation_id = %(organisation)s AND day < %(before)s;
