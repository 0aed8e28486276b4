-- A start on trial: from files that a backup was restored into, to see that they do. One at a time.
-- Whoever asked for it asks again before `until`; a trial past it is swept away, container and row.
CREATE TABLE trials (
	is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
	id uuid NOT NULL,
	instance_id uuid NOT NULL,
	user_id uuid NOT NULL,
	until timestamptz NOT NULL,
	-- Of its container; took_ms: until it was ready.
	started_at timestamptz,
	took_ms bigint,
	created_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON trials TO zaki_instance_manager;
