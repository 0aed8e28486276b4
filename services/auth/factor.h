#ifndef AUTH_FACTOR_H
#define AUTH_FACTOR_H

#include "app.h"

/*
 * The second factor: an authenticator app (RFC 6238: SHA-1, six digits, 30 s; liboath), and recovery
 * codes for when it is lost. A code of the step now, the one before or the one after is taken, and no
 * step twice. The app's secret lies sealed (IDENTITY_KEY), recovery codes as hashes.
 *
 * Wrong codes are counted for the account as a whole (attempt.h): only who knows the password gets to
 * guess one, so this locks nobody out for a stranger.
 */
#define FACTOR_STEP_S         30
#define FACTOR_SECRET_BYTES   20
#define FACTOR_RECOVERY_COUNT 10
#define FACTOR_RECOVERY_BYTES 15 /* 24 letters of base32 */

/* Whether user has one that is set up. */
int factor_is_on(struct pg_conn *c, const char *user_id, bool *ret, struct err *e);

/*
 * Takes a code of the user's, of the app or for recovery; with is_setup, of one that is being set up,
 * which it completes. ERR_CODE: it is none, or was taken before (counted, audited); ERR_LIMIT: not now;
 * ERR_CONFLICT: there is nothing to take it for. Not in a transaction: what it notes must stay.
 */
int factor_take(struct call *call, struct pg_conn *c, const char *user_id, const char *code,
                bool is_setup, struct err *e);

/* A new secret for the user, to be set up; one that waited goes. ERR_CONFLICT: one is on already. */
int factor_begin(struct call *call, struct pg_conn *c, const char *email,
                 struct auth_totp_secret *out, struct err *e);

/* New recovery codes instead of all others, in the caller's transaction. */
int factor_recovery(struct call *call, struct pg_conn *c, struct auth_recovery_codes *out,
                    struct err *e);

/* Takes the second factor away, in the caller's transaction. ERR_CONFLICT: there is none. */
int factor_end(struct pg_conn *c, const char *user_id, struct err *e);

/* The step of a code around now_s, 0 for one that is none. Pure. */
unsigned long long factor_step_of(const unsigned char *secret, size_t len, long long now_s,
                                  const char *code);

/* A recovery code without its hyphens, in capitals; false where it cannot be one. */
#define FACTOR_RECOVERY_SIZE 25
bool factor_recovery_plain(const char *code, char ret[FACTOR_RECOVERY_SIZE]);

#endif
