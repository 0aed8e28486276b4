#ifndef CONSUMER_H
#define CONSUMER_H

#include "store/redis.h"
#include "stream.h"

/*
 * The thread that delivers. Of several fanouts the holder of the lease does; the others wait for
 * it. An event is acknowledged once it is delivered, so that none is lost: while Redis or the bus
 * is away it waits, and after a crash the next holder goes on from the last that was acknowledged.
 */
struct consumer;

#define INSTANCE_ID_SIZE 17

struct consumer_opt {
	struct stream_conn conn;
	struct redis *redis;
	const char *me; /* the process's id */
};

int consumer_start(const struct consumer_opt *opt, struct consumer **ret, struct err *e);
void consumer_stop(struct consumer *c); /* gives up the lease; NULL is fine */

#endif
