-- Instances, what is known of them, and what is under way. All owned by the role that runs
-- migrations; zaki_instance_manager gets what its statements need.

-- This suite's id, on every container that it makes: two suites may share one engine.
CREATE TABLE platform (
	is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
	id uuid NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO platform DEFAULT VALUES;

GRANT SELECT ON platform TO zaki_instance_manager;

CREATE TABLE instances (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name varchar(255) NOT NULL,
	container_name varchar(255) NOT NULL CONSTRAINT instances_container_name_key UNIQUE,
	port integer NOT NULL CONSTRAINT instances_port_key UNIQUE CHECK (port BETWEEN 1 AND 65535),
	-- Secrets are sealed for their user, instance and column (vault.h).
	bot_token_encrypted text NOT NULL,
	gateway_token_encrypted text NOT NULL,
	bot_username varchar(255),
	-- A keyed digest of the bot's id: one bot, one instance, over all tenants.
	bot_key text NOT NULL CONSTRAINT instances_bot_key_key UNIQUE,
	owner_telegram_id bigint,
	model varchar(200) NOT NULL,
	memory_mib integer NOT NULL,
	-- What the person set beyond the columns.
	config jsonb NOT NULL DEFAULT '{}',

	desired text NOT NULL DEFAULT 'running' CHECK (desired IN ('running', 'stopped', 'deleted')),
	status varchar(50) NOT NULL DEFAULT 'stopped' CHECK (status IN ('provisioning', 'starting',
		'running', 'unhealthy', 'stopping', 'stopped', 'restarting', 'error', 'deleting', 'sleeping')),
	status_reason text,
	observed_at timestamptz,

	-- A restart or a change of settings is wanted while the first is ahead of the second.
	restart_generation bigint NOT NULL DEFAULT 0,
	applied_generation bigint NOT NULL DEFAULT 0,
	config_generation bigint NOT NULL DEFAULT 1,
	applied_config bigint NOT NULL DEFAULT 0,

	-- Who reconciles it, and when it is due. wake counts who asked for a look: a write that was
	-- decided on before the last of them is not made.
	next_check_at timestamptz NOT NULL DEFAULT now(),
	wake bigint NOT NULL DEFAULT 0,
	lease_owner text,
	lease_until timestamptz,
	-- Of the instances that boot at a time (PROVISION_MAX), and those that wait for their turn.
	boot_until timestamptz,
	boot_waiting_since timestamptz,

	-- Failures. Times that the engine's are compared with are unix ms.
	probe_misses integer NOT NULL DEFAULT 0,
	restart_times bigint[] NOT NULL DEFAULT '{}',
	retry_at_ms bigint NOT NULL DEFAULT 0,
	exit_code integer NOT NULL DEFAULT -1,
	exit_oom boolean NOT NULL DEFAULT false,
	-- The container's last end that is accounted for, its run that was seen ready, and since when
	-- that one's channels have been on their way.
	seen_end_ms bigint NOT NULL DEFAULT 0,
	ready_run_ms bigint NOT NULL DEFAULT 0,
	not_ready_since_ms bigint NOT NULL DEFAULT 0,
	was_ready boolean NOT NULL DEFAULT false,
	channel text NOT NULL DEFAULT 'down' CHECK (channel IN ('up', 'down')),

	-- The operation under way, and the story that it belongs to.
	operation text,
	trace_id text NOT NULL DEFAULT '',
	create_key text,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

CREATE INDEX instances_user ON instances (user_id, created_at DESC, id DESC);
CREATE INDEX instances_due ON instances (next_check_at);
CREATE INDEX instances_booting ON instances (boot_until) WHERE boot_until IS NOT NULL;
CREATE INDEX instances_waiting ON instances (boot_waiting_since) WHERE boot_waiting_since IS NOT NULL;

GRANT SELECT, INSERT, DELETE ON instances TO zaki_instance_manager;
GRANT UPDATE (name, port, bot_token_encrypted, bot_username, bot_key, owner_telegram_id, model,
	memory_mib, desired, status, status_reason, observed_at, restart_generation, applied_generation,
	config_generation, applied_config, next_check_at, wake, lease_owner, lease_until, boot_until,
	boot_waiting_since, probe_misses, restart_times, retry_at_ms, exit_code, exit_oom, seen_end_ms,
	ready_run_ms, not_ready_since_ms, was_ready, channel, operation, trace_id, updated_at)
	ON instances TO zaki_instance_manager;

-- LLM keys that people brought.
CREATE TABLE provider_keys (
	instance_id uuid NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name varchar(64) NOT NULL,
	base_url varchar(512),
	api_key_encrypted text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (instance_id, name)
);

GRANT SELECT, INSERT ON provider_keys TO zaki_instance_manager;

CREATE TABLE session_metadata (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	instance_id uuid NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	session_key varchar(255) NOT NULL,
	title varchar(255),
	message_count integer NOT NULL DEFAULT 0,
	last_active_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (instance_id, session_key)
);

GRANT SELECT ON session_metadata TO zaki_instance_manager;

-- What people asked for, and how far it has come. At most one of an instance is under way: a newer
-- one takes the place of the one before. Whoever has the instance's lease works on it.
CREATE TABLE operations (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	instance_id uuid NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	user_id uuid NOT NULL,
	kind text NOT NULL CHECK (kind IN ('create', 'start', 'stop', 'restart', 'update', 'delete')),
	step text NOT NULL,
	trace_id text NOT NULL DEFAULT '',
	started_at timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz,
	error text
);

CREATE UNIQUE INDEX operations_under_way ON operations (instance_id) WHERE finished_at IS NULL;
CREATE INDEX operations_instance ON operations (instance_id, started_at);
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;

GRANT SELECT, INSERT, DELETE ON operations TO zaki_instance_manager;
GRANT UPDATE (step, finished_at, error) ON operations TO zaki_instance_manager;

-- What people did and what was mended. Added to and read, never changed; no name, address or token
-- is in it, so it may outlive an instance.
CREATE TABLE audit_instance (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	instance_id uuid NOT NULL,
	user_id uuid,
	actor text NOT NULL CHECK (actor IN ('user', 'platform')),
	action text NOT NULL,
	detail text,
	trace_id text NOT NULL DEFAULT ''
);

CREATE INDEX audit_instance_instance ON audit_instance (instance_id, id);
CREATE INDEX audit_instance_user ON audit_instance (user_id, id);

GRANT SELECT, INSERT ON audit_instance TO zaki_instance_manager;

-- Events, written in the transaction of the change that they tell of, until the stream has them.
CREATE TABLE event_outbox (
	seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id uuid NOT NULL DEFAULT gen_random_uuid(),
	subject text NOT NULL,
	key uuid NOT NULL,
	trace_id text NOT NULL DEFAULT '',
	body text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, DELETE ON event_outbox TO zaki_instance_manager;

-- libs/store/once.h says how it is used.
CREATE TABLE idempotency_instance (
	scope text NOT NULL,
	key text NOT NULL,
	subject text NOT NULL,
	request_hash text NOT NULL,
	owner text NOT NULL,
	about uuid,
	created_at timestamptz NOT NULL DEFAULT now(),
	claimed_at timestamptz NOT NULL DEFAULT now(),
	status integer,
	reply text,
	PRIMARY KEY (scope, key)
);

CREATE INDEX idempotency_instance_age ON idempotency_instance (created_at);
CREATE INDEX idempotency_instance_about ON idempotency_instance (about);

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_instance TO zaki_instance_manager;
