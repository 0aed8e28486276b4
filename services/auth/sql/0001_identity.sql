-- Accounts, sessions, tokens, audit, and the memory of what is under way. All owned by the role that
-- runs migrations; zaki_auth gets what its statements need, column by column where it can.

CREATE TABLE users (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	email varchar(255) NOT NULL CONSTRAINT users_email_key UNIQUE CHECK (email = lower(email)),
	password_hash varchar(255) NOT NULL,
	name varchar(255),
	email_verified boolean NOT NULL DEFAULT false,
	subscription_tier varchar(50) NOT NULL DEFAULT 'free'
		CONSTRAINT users_tier_known CHECK (subscription_tier IN ('free', 'pro')),
	-- An account that is being deleted can do nothing any more; its e-mail stays taken until it is gone.
	status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deleting')),
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, DELETE ON users TO zaki_auth;
GRANT UPDATE (name, status, updated_at) ON users TO zaki_auth;

-- A sign-in and all that follows from it: a session is a family of refresh tokens.
CREATE TABLE sessions (
	id uuid PRIMARY KEY,
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at timestamptz NOT NULL DEFAULT now(),
	last_used_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL,
	ended_at timestamptz,
	ended_reason text,
	address inet,
	user_agent varchar(256),
	CHECK ((ended_at IS NULL) = (ended_reason IS NULL))
);

CREATE INDEX sessions_user ON sessions (user_id, last_used_at);
CREATE INDEX sessions_idle ON sessions (last_used_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_dead ON sessions (ended_at) WHERE ended_at IS NOT NULL;

GRANT SELECT, INSERT, DELETE ON sessions TO zaki_auth;
GRANT UPDATE (last_used_at, ended_at, ended_reason, address, user_agent) ON sessions TO zaki_auth;

-- Refresh tokens by the hash of their 256 random bits. A used one stays until it expires, so that it
-- is known when it comes back.
CREATE TABLE refresh_tokens (
	hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
	session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
	parent bytea, -- the one it was traded for; NULL: the session's first
	issued_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL,
	used_at timestamptz
);

CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_parent ON refresh_tokens (parent);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

GRANT SELECT, INSERT, DELETE ON refresh_tokens TO zaki_auth;
GRANT UPDATE (used_at) ON refresh_tokens TO zaki_auth;

-- Sessions that ended lately, written in the transaction that ends them: what Redis and the bus have
-- yet to be told, and what Redis is told anew after it lost everything. No reference to users or
-- sessions: it must outlive an account, whose access tokens are good for some minutes more. user_id
-- goes as soon as the event is out.
CREATE TABLE ended_sessions (
	session_id uuid PRIMARY KEY,
	user_id uuid,
	reason text NOT NULL,
	trace_id text NOT NULL DEFAULT '',
	ended_at timestamptz NOT NULL DEFAULT now(),
	in_redis_at timestamptz,
	told_at timestamptz
);

CREATE INDEX ended_sessions_for_redis ON ended_sessions (ended_at) WHERE in_redis_at IS NULL;
CREATE INDEX ended_sessions_for_bus ON ended_sessions (ended_at) WHERE told_at IS NULL;
CREATE INDEX ended_sessions_time ON ended_sessions (ended_at);

GRANT SELECT, INSERT, DELETE ON ended_sessions TO zaki_auth;
GRANT UPDATE (user_id, in_redis_at, told_at) ON ended_sessions TO zaki_auth;

-- What was done, when, from where. The service can add and read, and neither change nor remove: rows
-- go only with their user.
CREATE TABLE audit_log (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	user_id uuid REFERENCES users (id) ON DELETE CASCADE,
	action text NOT NULL,
	session_id uuid,
	address inet,
	user_agent varchar(256),
	trace_id text
);

CREATE INDEX audit_log_user ON audit_log (user_id, id);

GRANT SELECT, INSERT ON audit_log TO zaki_auth;

-- Deletions under way. Whoever holds the lease works on it; one whose lease ran out is anyone's.
CREATE TABLE account_deletions (
	user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	requested_at timestamptz NOT NULL DEFAULT now(),
	step text NOT NULL DEFAULT 'purge' CHECK (step IN ('purge', 'erase')),
	attempts integer NOT NULL DEFAULT 0,
	next_try_at timestamptz NOT NULL DEFAULT now(),
	lease_owner text,
	lease_until timestamptz,
	trace_id text NOT NULL DEFAULT ''
);

GRANT SELECT, INSERT ON account_deletions TO zaki_auth;
GRANT UPDATE (step, attempts, next_try_at, lease_owner, lease_until) ON account_deletions TO zaki_auth;

-- libs/store/once.h says how it is used. Replies hold their secrets sealed.
CREATE TABLE idempotency_auth (
	scope text NOT NULL,
	key text NOT NULL,
	subject text NOT NULL,
	request_hash text NOT NULL,
	owner text NOT NULL,
	about uuid,
	created_at timestamptz NOT NULL DEFAULT now(),
	claimed_at timestamptz NOT NULL DEFAULT now(),
	status integer,
	reply text,
	PRIMARY KEY (scope, key)
);

CREATE INDEX idempotency_auth_age ON idempotency_auth (created_at);
CREATE INDEX idempotency_auth_about ON idempotency_auth (about);

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_auth TO zaki_auth;
