#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/own.h"

#include <stddef.h>

/*
 * Memory that lives exactly as long as one call. Nothing in it is freed by itself; arena_done()
 * wipes and frees all, since what a call keeps may be a password or a token. Every arena has a
 * limit set at init, past which it answers NULL, so that one message cannot take the process down.
 * One thread at a time.
 */
struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used;  /* bytes given out */
	size_t limit; /* bytes it may give out */
};

void arena_init(struct arena *a, size_t limit);
void arena_done(struct arena *a); /* a zeroed arena is fine */

void *arena_alloc(struct arena *a, size_t size); /* zeroed; NULL past the limit or out of memory */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len); /* ends it with a zero */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void own_arena(struct arena *a)
{
	arena_done(a);
}

#endif
