-- What people did with an assistant and what happened to it, for their eyes; audit_instance is for ours.
CREATE TABLE activity (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	instance_id uuid NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	user_id uuid NOT NULL,
	kind varchar(40) NOT NULL,
	actor text NOT NULL CHECK (actor IN ('user', 'platform', 'assistant')),
	summary varchar(512),
	trace_id text NOT NULL DEFAULT ''
);

CREATE INDEX activity_instance ON activity (instance_id, id);
CREATE INDEX activity_age ON activity (at);

GRANT SELECT, INSERT, DELETE ON activity TO zaki_instance_manager;
