#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "base/err.h"

#include <sodium.h>

/*
 * Passwords: 8 to 128 characters, no rules about which; those that everyone tries first are refused.
 * Kept as Argon2id by libsodium. Hashing and checking take some 60 ms of a core and 64 MiB each: only
 * on the hash pool's threads.
 */
#define PASSWORD_MIN 8   /* code points */
#define PASSWORD_MAX 128 /* code points */
/* What zxcvbn's lists (30,000 common passwords, words, names) make of one, in bits of guesses: 3,000
 * are 11.6. No rule about which characters: a long one of plain words has three times as many. */
#define PASSWORD_BITS_MIN  14
#define PASSWORD_HASH_SIZE crypto_pwhash_STRBYTES
#define PASSWORD_OPSLIMIT  2
#define PASSWORD_MEMLIMIT  ((size_t)64 << 20) /* bytes */

/* ERR_INVALID naming the field "password". email: as email_normal() leaves it. Pure. */
int password_check(const char *password, const char *email, struct err *e);

int password_hash(const char *password, char ret[PASSWORD_HASH_SIZE], struct err *e);

/* Whether it is the password of that hash. NULL: of nobody's, which takes just as long. */
bool password_fits(const char *password, const char *hash);

#endif
