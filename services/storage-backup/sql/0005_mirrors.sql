-- The mirror (STORAGE_MIRROR): which backup of an assistant also lies in the store as plain objects.

CREATE TABLE mirrors (
	instance_id uuid PRIMARY KEY,
	user_id uuid NOT NULL,
	-- It has the seed's own paths, which hold no assistant's id: one of a person's has.
	has_seat boolean NOT NULL,
	-- The backup that lies there, whole; NULL: not known.
	backup_id uuid,
	-- A pass to this one is under way, or was broken off: what lies there is of both. NULL: none.
	next_id uuid,
	-- Of the code that brought it there: what it leaves out.
	rules integer NOT NULL DEFAULT 0,
	-- What was last alarmed about; '': all is well.
	problem text NOT NULL DEFAULT '' CHECK (problem IN ('', 'behind')),
	created_at timestamptz NOT NULL DEFAULT now(),
	held_at timestamptz
);

CREATE UNIQUE INDEX mirrors_seat ON mirrors (user_id) WHERE has_seat;
CREATE INDEX mirrors_user ON mirrors (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON mirrors TO zaki_storage_backup;

-- mirror: its scope is none of the assistant's other work's, which it neither waits for nor holds up.
ALTER TABLE backup_jobs DROP CONSTRAINT backup_jobs_work_check;
ALTER TABLE backup_jobs ADD CONSTRAINT backup_jobs_work_check
	CHECK (work IN ('backup', 'verify', 'drill', 'restore', 'prune', 'erase', 'dump', 'mirror'));

DROP INDEX backup_jobs_once;
CREATE UNIQUE INDEX backup_jobs_once ON backup_jobs (scope, work) WHERE finished_at IS NULL
	AND work IN ('drill', 'prune', 'erase', 'dump', 'mirror');
