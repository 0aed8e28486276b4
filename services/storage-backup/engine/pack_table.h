#ifndef PACK_TABLE_H
#define PACK_TABLE_H

#include "engine/internal.h"

/* The packs that a backup in the making knows of: those of its bases, strays, and its own. A
 * number in here is a chunk_place's pack until the manifest is written. */
struct known_pack {
	unsigned char id[PACK_ID_LEN];
	uint32_t size;
	uint32_t live;   /* bytes of it that the first base uses */
	uint32_t local;  /* number in the new manifest, from 1; 0: not in it yet */
	bool is_there;   /* in the store, with this size */
	bool is_shunned; /* nothing new is to rely on it */
	bool is_stray;   /* in no base */
};

struct pack_table {
	struct known_pack *packs;
	uint32_t count, size;
	uint32_t *buckets; /* by id: number + 1; 0 none. A power of two, at least twice count */
	uint32_t bucket_count;
	uint32_t local_count;
};

void pack_table_done(struct pack_table *t); /* a zeroed one is fine */

/* Adds it, or finds the one of that id. ERR_TOO_LARGE past ENGINE_PACKS_MAX. */
int pack_table_add(struct pack_table *t, const unsigned char id[PACK_ID_LEN], uint32_t size,
                   uint32_t *ret, struct err *e);
/* NULL: not known. */
struct known_pack *pack_table_find(const struct pack_table *t, const unsigned char id[PACK_ID_LEN]);

/* Its number in the new manifest. */
uint32_t pack_table_local(struct pack_table *t, uint32_t pack);
/* The new manifest's table, for the caller to free(). NULL: out of memory. */
struct manifest_pack *pack_table_export(const struct pack_table *t);

#endif
