-- Who keeps an instance stopped for a while, whatever is wanted of it: its files are being changed.
-- A hold that nobody renews runs out by itself.
ALTER TABLE instances ADD COLUMN hold_id uuid, ADD COLUMN hold_since timestamptz,
	ADD COLUMN hold_until timestamptz;

GRANT UPDATE (hold_id, hold_since, hold_until) ON instances TO zaki_instance_manager;
