-- Dumps of the platform's own tables, what becomes of accounts that are erased, and the return after
-- the loss of a machine (zakictl disaster-restore).

-- What a dump holds (dump/tables.def). The role may read it, whole tables, and change none of it.
GRANT SELECT ON users, second_factors, recovery_codes, api_keys, account_deletions, audit_log
	TO zaki_storage_backup;
GRANT SELECT ON instances, provider_keys, instance_settings, session_metadata, usage_daily,
	spend_limits, activity, audit_instance TO zaki_storage_backup;

-- done: it lies in the store, complete, and was read back.
CREATE TABLE platform_dumps (
	id text PRIMARY KEY,
	status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'done', 'failed')),
	rows bigint NOT NULL DEFAULT 0,
	bytes bigint NOT NULL DEFAULT 0,
	bytes_stored bigint NOT NULL DEFAULT 0,
	error text,
	created_at timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz
);

CREATE INDEX platform_dumps_age ON platform_dumps (created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON platform_dumps TO zaki_storage_backup;

CREATE TABLE platform_dump_plan (
	is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
	next_at timestamptz NOT NULL DEFAULT now() + interval '1 minute',
	-- What was last alarmed about; '': all is well.
	problem text NOT NULL DEFAULT '' CHECK (problem IN ('', 'overdue', 'failed')),
	created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO platform_dump_plan DEFAULT VALUES;

GRANT SELECT, UPDATE ON platform_dump_plan TO zaki_storage_backup;

ALTER TABLE backup_jobs DROP CONSTRAINT backup_jobs_work_check;
-- dump: its user and scope are the one of zeros.
ALTER TABLE backup_jobs ADD CONSTRAINT backup_jobs_work_check
	CHECK (work IN ('backup', 'verify', 'drill', 'restore', 'prune', 'erase', 'dump'));

DROP INDEX backup_jobs_once;
CREATE UNIQUE INDEX backup_jobs_once ON backup_jobs (scope, work) WHERE finished_at IS NULL
	AND work IN ('drill', 'prune', 'erase', 'dump');

-- Accounts that were erased while dumps still hold them: a mark in the store, under a name that says
-- nothing, so that no such dump brings them back. It goes with the last dump that is older.
CREATE TABLE erased_users (
	user_id uuid PRIMARY KEY,
	mark uuid NOT NULL DEFAULT gen_random_uuid(),
	erased_at timestamptz NOT NULL DEFAULT now(),
	stored_at timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON erased_users TO zaki_storage_backup;

-- A return from a dump, under way or done, and each assistant's. The owner's alone: zakictl writes it.
CREATE TABLE disaster_restore (
	is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
	dump_id text NOT NULL,
	dumped_at timestamptz NOT NULL,
	started_at timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz
);

-- waiting: its backups are not looked for yet; empty: it has none, and begins anew; failed: it has
-- some and none could be restored: it stays stopped.
CREATE TABLE disaster_assistants (
	instance_id uuid PRIMARY KEY,
	user_id uuid NOT NULL,
	state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'restoring', 'done', 'empty', 'failed')),
	restore_id uuid NOT NULL DEFAULT gen_random_uuid(),
	backup_id uuid,
	tried uuid[] NOT NULL DEFAULT '{}'
);
