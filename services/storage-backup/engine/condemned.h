#ifndef CONDEMNED_H
#define CONDEMNED_H

#include "engine/internal.h"

/* The list of packs that are to be deleted, in the store at users/<user>/condemned, sealed. */
struct condemned {
	unsigned char id[PACK_ID_LEN];
	uint64_t since_ms;
};
#define CONDEMNED_ROW (PACK_ID_LEN + 8)
#define CONDEMNED_MAX ENGINE_PACKS_MAX

/* None is no error. */
int condemned_read(const struct engine *en, const struct key_ring *ring,
                   void (*on_one)(void *ctx, const struct condemned *c), void *ctx, struct err *e);
/* In place of the former list. */
int condemned_write(const struct engine *en, const struct key_ring *ring,
                    const struct condemned *list, size_t count, struct err *e);

/*
 * Small sealed objects: magic, the key's tag, nonce, sealed zstd. Bound to their storage key.
 * *ret is the caller's to free(), with a zero after it. k: several, tried by tag.
 */
int sealed_put(const struct engine *en, const struct keys *k, const char *key, const void *data,
               size_t len, struct err *e);
int sealed_get(const struct engine *en, const struct key_ring *ring, const char *key, char **ret,
               size_t *ret_len, struct err *e);

#endif
