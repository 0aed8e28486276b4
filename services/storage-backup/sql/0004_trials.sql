-- A drill also starts the assistant from what it restored: what came of it, the last time.
ALTER TABLE backups
	ADD COLUMN trial_at timestamptz,
	ADD COLUMN trial_ms bigint,
	ADD COLUMN trial_error text;

ALTER TABLE backup_targets DROP CONSTRAINT backup_targets_problem_check;
ALTER TABLE backup_targets ADD CONSTRAINT backup_targets_problem_check
	CHECK (problem IN ('', 'overdue', 'failed', 'unproven', 'damaged', 'unstartable'));
