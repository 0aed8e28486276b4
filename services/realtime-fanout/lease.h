#ifndef LEASE_H
#define LEASE_H

#include "store/redis.h"

/*
 * Which of several fanouts delivers: the holder of the key zaki:rt:leader in Redis. It saves work,
 * no more: two that deliver at once send every event twice, each in order, and gateways drop what
 * they have had. Any thread.
 */
#define LEASE_MS 2500 /* a holder that was killed is followed after this */

/* Takes it where it is free, keeps it where it is mine. *ret_is_mine: whether it is now. */
int lease_take(struct redis *r, const char *me, bool *ret_is_mine, struct err *e);

/* Gives it up, so that the next need not wait. */
int lease_give(struct redis *r, const char *me, struct err *e);

#endif
