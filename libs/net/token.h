#ifndef NET_TOKEN_H
#define NET_TOKEN_H

#include "base/err.h"
#include "base/uuid.h"

/*
 * Access tokens: JWT (RFC 7519) signed with HS256 and nothing else. auth issues them, the gateway
 * checks them. Claims: iss, aud, sub (user id), sid (session id), jti, typ "access", iat, exp; the
 * header's kid names the key, so that a new secret signs while the one before is still accepted.
 * Any thread: a struct token_keys is read-only once made.
 */
#define TOKEN_ISSUER     "zaki"
#define TOKEN_AUDIENCE   "zaki-api"
#define TOKEN_ACCESS_S   900
#define TOKEN_LEN_MAX    2048 /* longer ones are refused before anything is decoded */
#define TOKEN_SECRET_MIN 32   /* bytes */
#define TOKEN_LEEWAY_S   5    /* for iat, between machines' clocks; exp has none */

struct token_keys; /* current and previous secret, with their kids */

/* previous: NULL or "" when there is none. ERR_INVALID with the field JWT_SECRET or
 * JWT_SECRET_PREVIOUS when one is too short. Secrets are copied, and wiped by the free. */
int token_keys_new(const char *current, const char *previous, struct token_keys **ret,
                   struct err *e);
void token_keys_free(struct token_keys *k);

struct token_claims {
	char user_id[UUID_SIZE];
	char session_id[UUID_SIZE];
	char token_id[UUID_SIZE]; /* jti */
	long long issued_at_s, expires_at_s;
};

/* Fills token_id, issued_at_s and expires_at_s of *claims. The caller frees *ret (free()). */
int token_sign(const struct token_keys *k, struct token_claims *claims, char **ret, struct err *e);

/* ERR_UNAUTHENTICATED for whatever is not a token of ours that is valid now, with the reason for
 * the log in e->msg: "token has expired" for that case, "token is not valid" for all others. */
int token_check(const struct token_keys *k, const char *text, struct token_claims *ret,
                struct err *e);

#endif
