-- What was sent to a person is theirs to see: the courier notes whose address it was when it went out,
-- and lists are read in the order of time.
GRANT UPDATE (user_id) ON mail_outbox TO zaki_auth;

CREATE INDEX mail_outbox_user ON mail_outbox (user_id, created_at, id);
