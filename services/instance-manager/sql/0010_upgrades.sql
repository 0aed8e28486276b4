-- The image that each container is made from, and the change to another one. Empty: not known yet, as
-- with rows from before; it is learnt from the container.
ALTER TABLE instances
	ADD COLUMN image varchar(256) NOT NULL DEFAULT '',
	-- How far an upgrade is, from which image to which, since when, and why it was taken back.
	ADD COLUMN upgrade_step text CHECK (upgrade_step IN ('backup', 'stop', 'try', 'back', 'clear')),
	ADD COLUMN upgrade_from varchar(256) NOT NULL DEFAULT '',
	ADD COLUMN upgrade_to varchar(256) NOT NULL DEFAULT '',
	ADD COLUMN upgrade_at timestamptz,
	ADD COLUMN upgrade_error text,
	ADD COLUMN upgrade_cause text;

GRANT UPDATE (image, upgrade_step, upgrade_from, upgrade_to, upgrade_at, upgrade_error, upgrade_cause)
	ON instances TO zaki_instance_manager;

CREATE INDEX instances_made ON instances (created_at DESC, id DESC);

ALTER TABLE operations DROP CONSTRAINT operations_kind_check;
ALTER TABLE operations ADD CONSTRAINT operations_kind_check
	CHECK (kind IN ('create', 'start', 'stop', 'restart', 'update', 'delete', 'upgrade'));
