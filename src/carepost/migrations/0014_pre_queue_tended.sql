-- An operator may hold what is queued back, and send again what was delivered (C12).
ALTER TABLE delivery_turn ADD COLUMN held boolean NOT NULL DEFAULT false;
ALTER TABLE delivery ADD COLUMN replays bigint;
CREATE INDEX delivery_waiting ON delivery (organisation_id, queued_at, id) WHERE settled_at IS NULL;
CREATE INDEX delivery_replayed ON delivery (organisation_id, replays) WHERE replays IS NOT NULL;
GRANT UPDATE (held) ON delivery_turn TO carepost_app;
