#ifndef INTEREST_H
#define INTEREST_H

#include "base/arena.h"
#include "store/redis.h"

/*
 * Which gateways have a socket that listens to a topic, in Redis: the set zaki:rt:topic:<topic>
 * holds gateway ids. A gateway is there as long as its key zaki:rt:gateway:<id> is, which it keeps
 * alive itself; one whose key is gone is forgotten when it is next met. Any thread.
 */
#define INTEREST_GATEWAYS_MAX 64 /* gateways that one topic may have */

/* Letters, digits, - and _: it becomes part of a subject and of a key. */
bool interest_gateway_is_valid(const char *gateway_id);

/* ERR_UNAVAILABLE: the topic has as many as it may have. One more would hear nothing, and not know it. */
int interest_add(struct redis *r, const char *topic, const char *gateway_id, struct err *e);
int interest_remove(struct redis *r, const char *topic, const char *gateway_id, struct err *e);

struct interest {
	const char **ids; /* of the gateways that are there */
	size_t count;
};

/* Of count topics, ret[i] for topics[i], in one question a hundred or so; all in the
 * arena. */
int interest_find(struct redis *r, const char *const *topics, size_t count, struct arena *a,
                  struct interest *ret, struct err *e);

/* Forgets gateways that are gone in all topics, so that those with no more events do not stay for
 * ever. Takes one step over the keys: *cursor is 0 at the start, and again once it is through. */
int interest_sweep(struct redis *r, unsigned long long *cursor, struct err *e);

#endif
