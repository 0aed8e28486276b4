-- An account that is to be deleted can be had back for a while.

ALTER TABLE users DROP CONSTRAINT users_status_check;
-- leaving: it may be signed in to and restored, and nothing else is changed in it.
ALTER TABLE users ADD CONSTRAINT users_status_check CHECK (status IN ('active', 'leaving', 'deleting'));
ALTER TABLE users ADD COLUMN deletes_at timestamptz;

GRANT UPDATE (deletes_at) ON users TO zaki_auth;

ALTER TABLE account_deletions DROP CONSTRAINT account_deletions_step_check;
ALTER TABLE account_deletions ADD CONSTRAINT account_deletions_step_check
	CHECK (step IN ('grace', 'purge', 'erase'));

GRANT DELETE ON account_deletions TO zaki_auth;
