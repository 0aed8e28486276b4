#ifndef RING_H
#define RING_H

#include "base/err.h"
#include "base/own.h"

/*
 * Work in order on several threads: the owner fills slots one after another, workers work on them
 * at once, and the owner takes them back in the order in which it filled them. Owner: one thread.
 */
struct ring;

struct ring_opt {
	size_t slots;
	int workers;
	/* On a worker's thread; worker is its number. What fails is left in the slot for the owner. */
	void (*work)(void *ctx, void *slot, int worker);
	/* On the owner's thread, in order. -1 ends all: ring_next() and ring_finish() then fail. */
	int (*take)(void *ctx, void *slot, struct err *e);
	void *ctx;
};

/* slots: opt->slots pointers, copied; what they point to is the caller's and outlives the ring. */
int ring_new(const struct ring_opt *opt, void *const *slots, struct ring **ret, struct err *e);
/* Waits for workers that are at work; what was not taken is forgotten. NULL is fine. */
void ring_free(struct ring *r);

/* A free slot, after taking back as many as are needed for that. NULL with *e when a take failed. */
void *ring_next(struct ring *r, struct err *e);
/* The slot of the last ring_next() is filled. needs_work: else it only waits for its turn. */
void ring_put(struct ring *r, bool needs_work);
/* Takes back all. */
int ring_finish(struct ring *r, struct err *e);

OWN_DEFINE(ring, struct ring *, ring_free)

#endif
