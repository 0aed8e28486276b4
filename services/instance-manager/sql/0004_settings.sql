-- What people set of an assistant beyond its row; none there: as settings_default() says.
CREATE TABLE instance_settings (
	instance_id uuid PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
	user_id uuid NOT NULL,
	access text NOT NULL CHECK (access IN ('pairing', 'allowlist', 'open')),
	is_shared boolean NOT NULL,
	allowed bigint[] NOT NULL DEFAULT '{}',
	persona varchar(32) NOT NULL DEFAULT ''
);

GRANT SELECT, INSERT ON instance_settings TO zaki_instance_manager;
GRANT UPDATE (access, is_shared, allowed, persona) ON instance_settings TO zaki_instance_manager;
