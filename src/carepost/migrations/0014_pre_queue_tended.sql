-- An operator may hold what is queued back, and send again what was delivered (C12).
ALTER TABLE delivery_turn ADD COLUMN held boolean NOT NULL DEFAULT false;
ALTER TABLE delivery ADD COLUMN replays bigint;
CREATE INDEX delivery_replayed ON delivery (organisation_id, replays) WHERE replays IS NOT NULL;
