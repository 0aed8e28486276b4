-- The links to the assistants' gateways, and what comes over them.

-- Instance-managers that hold links. One beat keeps all of a process's; once it has run out it
-- cannot be kept any more, and others take over what it held.
CREATE TABLE link_holders (
	holder text PRIMARY KEY,
	lease_until timestamptz NOT NULL
);

GRANT SELECT, INSERT, DELETE ON link_holders TO zaki_instance_manager;
GRANT UPDATE (lease_until) ON link_holders TO zaki_instance_manager;

CREATE TABLE instance_links (
	instance_id uuid PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	holder text,
	-- Since when it is linked; while it is not, why.
	connected_at timestamptz,
	reason text,
	-- When all that is stored of it was last known to be so.
	synced_at timestamptz,
	-- What its gateway gave our device, sealed (vault.h). One that does not open is asked for anew.
	device_token_encrypted text
);

CREATE INDEX instance_links_holder ON instance_links (holder);

GRANT SELECT, INSERT ON instance_links TO zaki_instance_manager;
GRANT UPDATE (holder, connected_at, reason, synced_at, device_token_encrypted)
	ON instance_links TO zaki_instance_manager;

ALTER TABLE session_metadata
	ADD COLUMN channel varchar(64),
	ADD COLUMN model varchar(200);

CREATE INDEX session_metadata_latest
	ON session_metadata (instance_id, last_active_at DESC NULLS LAST, id DESC);

GRANT INSERT, DELETE ON session_metadata TO zaki_instance_manager;
GRANT UPDATE (title, message_count, last_active_at, channel, model)
	ON session_metadata TO zaki_instance_manager;

-- Tokens and cost by day, model and conversation: they outlive the instance's container and its own
-- files. The same day read again takes the place of what was read before.
CREATE TABLE usage_daily (
	instance_id uuid NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	day date NOT NULL,
	kind text NOT NULL CHECK (kind IN ('total', 'model', 'session')),
	name varchar(255) NOT NULL,
	input_tokens bigint NOT NULL DEFAULT 0,
	output_tokens bigint NOT NULL DEFAULT 0,
	cache_tokens bigint NOT NULL DEFAULT 0,
	total_tokens bigint NOT NULL DEFAULT 0,
	cost_micros bigint NOT NULL DEFAULT 0,
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (instance_id, day, kind, name)
);

GRANT SELECT, INSERT ON usage_daily TO zaki_instance_manager;
GRANT UPDATE (input_tokens, output_tokens, cache_tokens, total_tokens, cost_micros, updated_at)
	ON usage_daily TO zaki_instance_manager;

-- What a person lets an assistant spend in a calendar month (UTC), and whether it is reached: then
-- the model is paused.
CREATE TABLE spend_limits (
	instance_id uuid PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	monthly_micros bigint NOT NULL CHECK (monthly_micros > 0),
	paused_month date,
	updated_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, DELETE ON spend_limits TO zaki_instance_manager;
GRANT UPDATE (monthly_micros, paused_month, updated_at) ON spend_limits TO zaki_instance_manager;
