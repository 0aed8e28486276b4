#ifndef PACK_CHECK_H
#define PACK_CHECK_H

#include "engine/internal.h"
#include "format/pack.h"

/*
 * Packs read back whole, some at a time: every byte is opened, every chunk named anew. Owner: one
 * thread, which adds packs and is told of them in the same order; workers do the reading.
 */
struct pack_check;

struct pack_checked {
	uint32_t number; /* that it was added under */
	const struct key_text *key;
	size_t len;
	const struct pack_index *index; /* of a good one, until on_pack returns */
	const struct err *why;          /* NULL: it is good */
};

struct pack_check_to {
	const struct engine *en;
	const struct keys *keys;
	/* -1 ends all. What was wrong may be the pack (pack_is_bad()) or the way to it. */
	int (*on_pack)(void *ctx, const struct pack_checked *p, struct err *e);
	void *ctx;
};

int pack_check_new(const struct pack_check_to *to, struct pack_check **ret, struct err *e);
void pack_check_free(struct pack_check *c); /* NULL is fine */

int pack_check_add(struct pack_check *c, uint32_t number, const struct manifest_pack *pack,
                   struct err *e);
/* Waits until on_pack was told of all. */
int pack_check_end(struct pack_check *c, struct err *e);

/* Is it the object that is at fault: missing, or not what it should be? */
bool pack_is_bad(const struct err *why);

OWN_DEFINE(pack_check, struct pack_check *, pack_check_free)

#endif
