-- Authenticator apps (RFC 6238) and the codes for when they are lost.

-- secret is sealed with IDENTITY_KEY, bound to its user. One without confirmed_at is being set up and
-- asks nobody for anything.
CREATE TABLE second_factors (
	user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	secret text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	confirmed_at timestamptz,
	last_step bigint NOT NULL DEFAULT 0 -- of the last code that was taken: none comes twice
);

GRANT SELECT, INSERT, UPDATE, DELETE ON second_factors TO zaki_auth;

-- By the hash of their 120 random bits; one that was used goes.
CREATE TABLE recovery_codes (
	hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
	user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX recovery_codes_user ON recovery_codes (user_id);

GRANT SELECT, INSERT, DELETE ON recovery_codes TO zaki_auth;
