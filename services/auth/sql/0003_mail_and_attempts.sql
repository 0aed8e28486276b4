-- Mails on their way, the links in them, and a change of address.

GRANT UPDATE (email, email_verified, password_hash) ON users TO zaki_auth;

-- One row a mail, written in the transaction of the change that it tells of. It holds no link: the
-- token is made when the mail is sent (services/auth/mail/courier.h). No reference to users: a mail
-- asked for by an address that nobody has looks the same, and the last one outlives its account.
CREATE TABLE mail_outbox (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	kind text NOT NULL,
	email varchar(255) NOT NULL,
	user_id uuid, -- NULL: whoever has the address when it is sent
	detail text,
	address inet,
	trace_id text NOT NULL DEFAULT '',
	created_at timestamptz NOT NULL DEFAULT now(),
	state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dropped', 'dead')),
	attempts integer NOT NULL DEFAULT 0,
	next_try_at timestamptz NOT NULL DEFAULT now(),
	lease_owner text,
	lease_until timestamptz,
	ended_at timestamptz,
	reason text,
	CHECK ((state = 'waiting') = (ended_at IS NULL))
);

CREATE INDEX mail_outbox_due ON mail_outbox (next_try_at) WHERE state = 'waiting';
CREATE INDEX mail_outbox_email ON mail_outbox (email, created_at);
CREATE INDEX mail_outbox_over ON mail_outbox (ended_at) WHERE state <> 'waiting';

GRANT SELECT, INSERT, DELETE ON mail_outbox TO zaki_auth;
GRANT UPDATE (state, attempts, next_try_at, lease_owner, lease_until, ended_at, reason)
	ON mail_outbox TO zaki_auth;

-- Links of mails by the hash of their 256 random bits. One that was used goes, and all others for the
-- same purpose with it.
CREATE TABLE email_tokens (
	hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	purpose text NOT NULL,
	email varchar(255) NOT NULL, -- where it was sent
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL
);

CREATE INDEX email_tokens_user ON email_tokens (user_id, purpose);
CREATE INDEX email_tokens_expiry ON email_tokens (expires_at);

GRANT SELECT, INSERT, DELETE ON email_tokens TO zaki_auth;
GRANT UPDATE (expires_at) ON email_tokens TO zaki_auth; -- locking a row takes it

-- A change of address that waits for a word from both ends; a new one takes its place.
CREATE TABLE email_changes (
	user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	email varchar(255) NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL,
	old_agreed boolean NOT NULL,
	new_agreed boolean NOT NULL DEFAULT false
);

GRANT SELECT, INSERT, UPDATE, DELETE ON email_changes TO zaki_auth;

-- When the person behind a session last proved who they are: at its start, and at each
-- re-authentication.
ALTER TABLE sessions ADD COLUMN proven_at timestamptz NOT NULL DEFAULT now();

GRANT UPDATE (proven_at) ON sessions TO zaki_auth;

-- Attempts that failed, by account and where they came from (services/auth/attempt.h). The account is
-- a hash of the address that was given, whether anybody has it or not.
CREATE TABLE sign_in_failures (
	account bytea NOT NULL CHECK (octet_length(account) = 32),
	source text NOT NULL,
	failures integer NOT NULL DEFAULT 1,
	last_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (account, source)
);

CREATE INDEX sign_in_failures_age ON sign_in_failures (last_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_failures TO zaki_auth;
