#ifndef CHUNK_INDEX_H
#define CHUNK_INDEX_H

#include "engine/internal.h"

/*
 * Which chunks are where: id → place. An open-addressed table in a scratch file, so that its size
 * needs no memory but the page cache. Any thread: a mutex inside guards all of it.
 */
struct chunk_index;

int chunk_index_new(const struct engine *en, struct chunk_index **ret, struct err *e);
void chunk_index_free(struct chunk_index *x); /* NULL is fine */

/* Puts it in, or gives it another place. *ret_is_new may be NULL. */
int chunk_index_put(struct chunk_index *x, const unsigned char id[CHUNK_ID_LEN],
                    const struct chunk_place *place, bool *ret_is_new, struct err *e);
int chunk_index_get(struct chunk_index *x, const unsigned char id[CHUNK_ID_LEN], bool *ret_found,
                    struct chunk_place *ret, struct err *e);

OWN_DEFINE(chunk_index, struct chunk_index *, chunk_index_free)

#endif
