#ifndef KEYS_H
#define KEYS_H

#include "base/err.h"

#include <stdint.h>

/*
 * One person's keys, from ENCRYPTION_KEY and their id: whoever has the store and one person's keys
 * learns nothing of another's, and equal files of two people have nothing equal in the store.
 * docs/BACKUP_FORMAT.md, "Keys". Read-only once derived; the owner wipes it with keys_done().
 */
#define KEYS_SECRET_MIN 32 /* bytes of ENCRYPTION_KEY */
#define KEYS_USER_LEN   36 /* a UUID as text */

struct keys {
	char user_id[KEYS_USER_LEN + 1];
	unsigned char tag[8];       /* tells keys apart, in the clear: which ENCRYPTION_KEY */
	unsigned char chunk_id[32]; /* of keyed BLAKE2b: chunks' ids */
	unsigned char pack[32];     /* seals chunks and packs' indexes */
	unsigned char manifest[32]; /* from which each manifest's own key comes */
	unsigned char
		blob[32];   /* seals a user's small things, such as the list of condemned packs */
	uint64_t gear[256]; /* where files are cut */
};

void keys_derive(const char *secret, const char *user_id, struct keys *ret);
void keys_done(struct keys *k);

/* A key for one thing that has a random salt: BLAKE2b-256 of salt and name, keyed. */
void keys_of_one(const unsigned char key[32], const unsigned char salt[32], const char *name,
                 unsigned char ret[32]);

#endif
