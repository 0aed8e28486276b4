-- Backups, the work on them, and what is known of the assistants that they are of. All owned by the
-- role that runs migrations; zaki_storage_backup gets what its statements need. No table refers to
-- another service's: an assistant's backups outlive it, until their time or its owner's account ends.

-- Assistants that are backed up. One that is deleted stays here while it has backups.
CREATE TABLE backup_targets (
	instance_id uuid PRIMARY KEY,
	user_id uuid NOT NULL,
	is_live boolean NOT NULL DEFAULT true,
	-- instance-manager told of it last.
	seen_at timestamptz NOT NULL DEFAULT now(),
	next_full_at timestamptz NOT NULL,
	next_incremental_at timestamptz NOT NULL,
	next_drill_at timestamptz NOT NULL,
	-- What was last alarmed about, so that it is said once; '': all is well.
	problem text NOT NULL DEFAULT '' CHECK (problem IN ('', 'overdue', 'failed', 'unproven', 'damaged')),
	created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX backup_targets_user ON backup_targets (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON backup_targets TO zaki_storage_backup;

-- A backup is done once it lies in the store, complete, and was read back. damaged: it was, and a
-- later proof has failed.
CREATE TABLE backups (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	instance_id uuid NOT NULL,
	user_id uuid NOT NULL,
	kind text NOT NULL CHECK (kind IN ('full', 'incremental', 'manual', 'checkpoint')),
	status text NOT NULL DEFAULT 'pending'
		CHECK (status IN ('pending', 'running', 'done', 'failed', 'damaged')),
	-- Its manifest is in the store, whatever has become of it since.
	is_stored boolean NOT NULL DEFAULT false,
	percent integer NOT NULL DEFAULT 0,
	files bigint NOT NULL DEFAULT 0,
	bytes bigint NOT NULL DEFAULT 0,
	bytes_stored bigint NOT NULL DEFAULT 0,
	notes bigint NOT NULL DEFAULT 0,
	error text,
	created_at timestamptz NOT NULL DEFAULT now(),
	started_at timestamptz,
	finished_at timestamptz,
	verified_at timestamptz,
	proven_at timestamptz,
	expires_at timestamptz
);

CREATE INDEX backups_instance ON backups (instance_id, created_at DESC, id DESC);
CREATE INDEX backups_user ON backups (user_id, created_at DESC, id DESC);
CREATE INDEX backups_expiry ON backups (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON backups TO zaki_storage_backup;

CREATE TABLE restores (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	backup_id uuid NOT NULL,
	-- Where it goes; the backup may be another's of the same person.
	instance_id uuid NOT NULL,
	user_id uuid NOT NULL,
	path text,
	status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'done', 'failed')),
	step text NOT NULL DEFAULT 'waiting' CHECK (step IN ('waiting', 'fetching', 'stopping',
		'checkpoint', 'swapping', 'starting', 'done')),
	percent integer NOT NULL DEFAULT 0,
	files bigint NOT NULL DEFAULT 0,
	bytes bigint NOT NULL DEFAULT 0,
	error text,
	checkpoint_id uuid,
	created_at timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz
);

CREATE INDEX restores_instance ON restores (instance_id, created_at);
CREATE INDEX restores_backup ON restores (backup_id);
CREATE INDEX restores_user ON restores (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON restores TO zaki_storage_backup;

-- Work to do and under way. Whoever has the lease of a row works on it; a lease of a process that
-- died runs out, and another takes the work up. scope: the assistant, or for prune and erase the
-- person, on whom one works at a time. A restore's job has the restore's id.
CREATE TABLE backup_jobs (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	work text NOT NULL CHECK (work IN ('backup', 'verify', 'drill', 'restore', 'prune', 'erase')),
	scope uuid NOT NULL,
	user_id uuid NOT NULL,
	instance_id uuid,
	backup_id uuid REFERENCES backups (id) ON DELETE CASCADE,
	-- People's come before the schedule's.
	priority integer NOT NULL DEFAULT 1,
	status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'done', 'failed')),
	step text,
	percent integer NOT NULL DEFAULT 0,
	error text,
	attempts integer NOT NULL DEFAULT 0,
	next_try_at timestamptz NOT NULL DEFAULT now(),
	lease_owner text,
	lease_until timestamptz,
	trace_id text NOT NULL DEFAULT '',
	created_at timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz
);

CREATE INDEX backup_jobs_due ON backup_jobs (priority, next_try_at) WHERE finished_at IS NULL;
CREATE UNIQUE INDEX backup_jobs_scope ON backup_jobs (scope) WHERE lease_owner IS NOT NULL;
CREATE INDEX backup_jobs_backup ON backup_jobs (backup_id);
CREATE INDEX backup_jobs_finished ON backup_jobs (finished_at) WHERE finished_at IS NOT NULL;
-- The schedule asks for a thing once, however often it looks.
CREATE UNIQUE INDEX backup_jobs_once ON backup_jobs (scope, work) WHERE finished_at IS NULL
	AND work IN ('drill', 'prune', 'erase');

GRANT SELECT, INSERT, UPDATE, DELETE ON backup_jobs TO zaki_storage_backup;

-- When a person's store was last cleared of what nothing names any more.
CREATE TABLE backup_users (
	user_id uuid PRIMARY KEY,
	next_prune_at timestamptz NOT NULL DEFAULT now(),
	pruned_at timestamptz,
	bytes_live bigint NOT NULL DEFAULT 0,
	bytes_condemned bigint NOT NULL DEFAULT 0
);

GRANT SELECT, INSERT, UPDATE, DELETE ON backup_users TO zaki_storage_backup;

-- libs/svc/outbox.h says how it is used.
CREATE TABLE event_outbox_backup (
	seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id uuid NOT NULL DEFAULT gen_random_uuid(),
	subject text NOT NULL,
	key uuid NOT NULL,
	trace_id text NOT NULL DEFAULT '',
	body text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, DELETE ON event_outbox_backup TO zaki_storage_backup;

-- libs/store/once.h says how it is used.
CREATE TABLE idempotency_backup (
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

CREATE INDEX idempotency_backup_age ON idempotency_backup (created_at);
CREATE INDEX idempotency_backup_about ON idempotency_backup (about);

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_backup TO zaki_storage_backup;
