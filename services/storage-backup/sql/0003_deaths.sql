-- Work that ends its process each time it is begun is given up: this counts how often it was begun
-- since anything was last heard of its end.
ALTER TABLE backup_jobs ADD COLUMN deaths integer NOT NULL DEFAULT 0;

-- Those that are under way: few.
CREATE INDEX backups_open ON backups (instance_id) WHERE status IN ('pending', 'running');
