-- A new assistant whose owner is not known yet: whoever opens its link first becomes the owner. While
-- a row is here OpenClaw's Telegram channel is off, and instance-manager alone reads the bot's
-- messages; the row ends with the owner, with anybody else who writes, or at its deadline.
CREATE TABLE owner_links (
	instance_id uuid PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	-- What the link ends with, sealed (vault.h).
	nonce_encrypted text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	deadline timestamptz NOT NULL,
	-- When it is looked at next: whoever takes it puts this off for longer than a look may take.
	next_at timestamptz NOT NULL DEFAULT now(),
	failures integer NOT NULL DEFAULT 0
);

CREATE INDEX owner_links_next ON owner_links (next_at);

GRANT SELECT, INSERT, DELETE ON owner_links TO zaki_instance_manager;
GRANT UPDATE (next_at, failures) ON owner_links TO zaki_instance_manager;
