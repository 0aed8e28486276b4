#ifndef AUTH_SESSION_H
#define AUTH_SESSION_H

#include "app.h"
#include "audit.h"

/*
 * Sessions and the tokens they give. A session is a family of refresh tokens: 256 random bits each,
 * kept as their BLAKE2b hash, traded for a new one at each use (refresh.h).
 */
#define SESSION_S         2592000 /* 30 days: a session's whole life, however much it is used */
#define REFRESH_S         604800 /* 7 days: a refresh token's, and so how long a session may idle */
#define SESSIONS_MAX      50     /* of one user; the one unused for longest makes room */
#define REFRESH_TEXT_SIZE 44     /* base64url of 32 bytes, and the zero */
#define REFRESH_HASH_SIZE 65     /* hex of 32 bytes, and the zero */

enum session_end_reason { END_LOGOUT, END_REVOKED, END_TOKEN_REUSED, END_DELETED, END_EXPIRED };

void refresh_hash(const char *text, char ret[REFRESH_HASH_SIZE]);

/* A session for someone who has just proven to be user, in the caller's transaction. Fills all of
 * *out but its user. ERR_CREDENTIALS when the account is not active any more. */
int session_open(struct call *call, struct pg_conn *c, const char *user_id, struct auth_tokens *out,
                 struct err *e);

/* A further refresh token for a session, in the caller's transaction; text in ret. parent: the hash
 * of the one it is traded for, NULL for the first. */
int session_add_token(struct pg_conn *c, const char *session_id, const char *parent,
                      char ret[REFRESH_TEXT_SIZE], struct err *e);

/* The answer that goes with a refresh token. */
int session_answer(struct call *call, const char *user_id, const char *session_id,
                   const char *refresh_text, struct auth_tokens *out, struct err *e);

/* What is to end, why, and how the audit log calls it (AUDIT_NONE: not at all). */
struct session_ending {
	const struct bus_ctx *ctx;
	const char *user_id, *session_id;
	enum session_end_reason reason;
	enum audit_action audit;
	const char *keep; /* session_end_all(): one that goes on; NULL: none */
};

/* Ends a session of the user, in the caller's transaction; one that has ended already stays as it
 * is, and is not audited again. Once that has committed, the caller wakes app->keeper. See
 * revoked.h for what a crash leaves. */
int session_end(struct app *app, struct pg_conn *c, const struct session_ending *what,
                struct err *e);

/* The same for all sessions of the user but keep; session_id is not read. *ret_count may be NULL. */
int session_end_all(struct app *app, struct pg_conn *c, const struct session_ending *what,
                    long long *ret_count, struct err *e);

/* Whoever acts has proven lately (REAUTH_S) who they are, by a sign-in or a re-authentication in this
 * session: what is sensitive asks for it. ERR_REAUTH, ERR_UNAUTHENTICATED. */
int session_is_proven(const struct call *call, struct pg_conn *c, struct err *e);

/* Whether it may act now. *ret_expires_s: unix seconds of its end. */
int session_is_active(struct pg_conn *c, const char *user_id, const char *session_id, bool *ret,
                      long long *ret_expires_s, struct err *e);

#endif
