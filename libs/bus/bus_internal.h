#ifndef BUS_INTERNAL_H
#define BUS_INTERNAL_H

#include "bus/bus.h"

#include <pthread.h>

/* What the files of this library share; nobody else includes it. */

#define BUS_ROUTES_MAX   96
#define BUS_SUBS_MAX     24
#define BUS_SUBJECT_SIZE 128 /* of a subject with a process's id behind it, at most */
#define BUS_DRAIN_MS     20000

/* What one endpoint has done; counters only, each atomic by itself. */
struct endpoint_stats {
	_Atomic long long requests, errors, time_ns;
};

struct listener {
	bus_listener *on_message;
	void *ctx;
};

struct bus {
	natsConnection *conn;
	jsCtx *js;
	const struct seal *seal;
	char service[40];
	char instance_id[17];
	long long started_ms; /* unix ms */

	const struct bus_service *served; /* set once by bus_serve() */
	struct endpoint_stats stats[BUS_ROUTES_MAX];
	natsSubscription *subs[BUS_SUBS_MAX];
	struct listener listeners[BUS_SUBS_MAX];
	size_t sub_count;

	pthread_mutex_t lock; /* guards under_way and subs_live */
	pthread_cond_t idle;  /* one of the two became 0 */
	long long under_way;  /* calls taken and not yet answered */
	long long subs_live;  /* subscriptions whose handler may still run */
};

int bus_from_nats(natsStatus s, const char *what, struct err *e);

/* Subscribes and remembers the subscription. queue: NULL for none. */
int bus_subscribe(struct bus *b, const char *subject, const char *queue, natsMsgHandler handler,
                  void *closure, struct err *e);

void bus_ctx_to_headers(const struct bus_ctx *ctx, int timeout_ms, natsMsg *msg);
/* ERR_INVALID when a header is not what it should be. */
int bus_ctx_from_headers(natsMsg *msg, struct bus_ctx *ret, long long *ret_deadline_ms,
                         struct err *e);
/* A header's value, "" where it is absent. */
const char *bus_header(natsMsg *msg, const char *name);

/* $SRV.PING, .INFO and .STATS. */
int bus_micro_serve(struct bus *b, struct err *e);

#endif
