#ifndef WIRE_SEAL_H
#define WIRE_SEAL_H

#include "base/arena.h"
#include "base/err.h"

/*
 * Secrets on the bus. A field that its schema marks writeOnly or x-secret is never readable by
 * whoever watches: the sender seals it with a key that all services share and operators' bus users
 * do not have, the receiver opens it. XChaCha20-Poly1305 (libsodium); the message's and field's
 * names are authenticated with it, so that one field's value cannot be put into another.
 * Text form: "sealed:1:" and unpadded base64url of nonce and ciphertext. Read-only: any thread.
 */
#define SEAL_SECRET_MIN 32 /* bytes of BUS_KEY */
#define SEAL_HASH_SIZE  65 /* hex of a 256-bit hash and its zero */

struct seal {
	unsigned char key[32];      /* of sealed fields */
	unsigned char hash_key[32]; /* of seal_hash() */
};

/* Derives the keys from BUS_KEY. ERR_INVALID naming BUS_KEY when it is too short. */
int seal_init(struct seal *s, const char *secret, struct err *e);

/* where: "message.field". *ret lives in the arena. */
int seal_close(const struct seal *s, const char *where, const char *text, struct arena *a,
               char **ret, struct err *e);
/* ERR_INVALID when it is not sealed, or not for this place, or not by this key. */
int seal_open(const struct seal *s, const char *where, const char *sealed, struct arena *a,
              char **ret, struct err *e);

/* Whether a field of this JSON may be sealed: one that has no such text has nothing to open. */
bool seal_is_in(const char *json, size_t len);

/* A keyed hash, by which two requests can be told apart without keeping what was in them. */
void seal_hash(const struct seal *s, const char *data, size_t len, char ret[SEAL_HASH_SIZE]);

#endif
