-- R130: somebody outside is asked whether an address is theirs, and answers on the portal.

ALTER TABLE correspondent DROP CONSTRAINT correspondent_verified_how_check;
ALTER TABLE correspondent ADD CONSTRAINT correspondent_verified_how_check CHECK (verified_how IN ('in person', 'by telephone', 'by letter', 'by code', 'by link'));
-- When whoever reads the address said that they are not who was meant. A check of any kind takes it back.
ALTER TABLE correspondent ADD COLUMN denied_at timestamptz;
ALTER TABLE correspondent ADD CONSTRAINT correspondent_denied CHECK (denied_at IS NULL OR verified_at IS NULL);

ALTER TABLE secure_message DROP CONSTRAINT secure_message_kind_check;
ALTER TABLE secure_message ADD CONSTRAINT secure_message_kind_check CHECK (kind IN ('letter', 'invitation', 'confirmation'));
ALTER TABLE secure_message DROP CONSTRAINT secure_message_content;
ALTER TABLE secure_message ADD CONSTRAINT secure_message_content CHECK (kind IN ('invitation', 'confirmation') OR state <> 'open' OR object_id IS NOT NULL);

ALTER TABLE portal_event DROP CONSTRAINT portal_event_what_check;
ALTER TABLE portal_event ADD CONSTRAINT portal_event_what_check CHECK (what IN ('made', 'noticed', 'code sent', 'wrong', 'opened', 'read',
    'downloaded', 'replied', 'asked', 'frozen', 'extended', 'revoked', 'expired', 'passkey kept', 'passkey removed', 'passkey copied',
    'confirmed', 'denied'));
