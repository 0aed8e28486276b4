-- API keys by the hash of their 256 random bits. One that is revoked is gone from here: audit_log has
-- what was, and ended_sessions (as a session of the key's id) tells the gateways.
CREATE TABLE api_keys (
	id uuid PRIMARY KEY,
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name varchar(100) NOT NULL,
	scope text NOT NULL CHECK (scope IN ('read', 'write')),
	hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
	hint char(4) NOT NULL, -- its last characters
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	last_used_at timestamptz
);

CREATE INDEX api_keys_user ON api_keys (user_id, created_at);

GRANT SELECT, INSERT, DELETE ON api_keys TO zaki_auth;
GRANT UPDATE (last_used_at) ON api_keys TO zaki_auth;
