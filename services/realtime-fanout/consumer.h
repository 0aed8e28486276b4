#ifndef CONSUMER_H
#define CONSUMER_H

#include "bus/bus.h"
#include "store/redis.h"

/*
 * The thread that delivers. Of several fanouts the holder of the lease does; the others wait for
 * it. An event is acknowledged once it is delivered, so that none is lost: while Redis or the bus
 * is away it waits, and after a crash the next holder goes on from the last that was acknowledged.
 */
struct consumer;

int consumer_start(struct bus *b, jsCtx *js, struct redis *r, struct consumer **ret, struct err *e);
void consumer_stop(struct consumer *c); /* gives up the lease; NULL is fine */

#endif
