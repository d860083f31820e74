-- Decisions about what goes out are kept as those about what comes in: one table, one search, one way to tell of them.
ALTER TABLE verdict
  DROP CONSTRAINT verdict_door_check,
  ADD CONSTRAINT verdict_door_check
      CHECK (door IN ('smtp', 'lmtp', 'scan', 'append', 'web', 'submission', 'system', 'portal', 'inside'));
ALTER TABLE verdict_recipient
  -- Those outside have none.
  ALTER COLUMN mailbox_id DROP NOT NULL,
  DROP CONSTRAINT verdict_recipient_decided,
  ADD CONSTRAINT verdict_recipient_decided CHECK (decided IN ('deliver it', 'deliver it with a warning',
      'deliver it to junk', 'hold it for a person to look at', 'refuse it', 'send it', 'send it over verified TLS only',
      'send it through the portal')),
  DROP CONSTRAINT verdict_recipient_action,
  ADD CONSTRAINT verdict_recipient_action CHECK (action IN ('deliver it', 'deliver it with a warning',
      'deliver it to junk', 'hold it for a person to look at', 'refuse it', 'send it', 'send it over verified TLS only',
      'send it through the portal'));
-- 'reference': the messages that a reply answers, so that replies which quote a recalled message are found (R148).
ALTER TABLE verdict_token
  DROP CONSTRAINT verdict_token_kind_check,
  ADD CONSTRAINT verdict_token_kind_check CHECK (kind IN ('sender', 'recipient', 'message-id', 'reference'));
