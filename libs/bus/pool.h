#ifndef BUS_POOL_H
#define BUS_POOL_H

#include "base/err.h"

#include <stddef.h>

/*
 * Threads that work off a queue with a limit: cnats hands a subscription's messages over one by
 * one, so that without it a service would answer one request at a time. Any thread may add.
 */
struct pool;

typedef void pool_work(void *item);

int pool_new(size_t workers, size_t queue_max, pool_work *work, struct pool **ret, struct err *e);

/* false when the queue is full or the pool is closing: the item stays the caller's. */
bool pool_add(struct pool *p, void *item);

/* Takes no more, works off what is queued, ends the threads. NULL is fine. */
void pool_free(struct pool *p);

size_t pool_queued(struct pool *p);

#endif
