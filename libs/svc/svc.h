#ifndef SVC_H
#define SVC_H

#include "bus/bus.h"
#include "svc/trust.h"

/*
 * What every service does the same way: read the environment, open the log and the bus, start,
 * serve, wait for SIGTERM, drain, stop. A service says only what is its own.
 *
 * Order at the end: quiesce (take in nothing new from outside; the bus still works), the bus drains
 * (calls under way are answered), the pools end, stop frees. libsodium and libcurl are initialised
 * before start.
 */

/* Threads for handlers. Both numbers come from settings, so that one row says them. */
struct svc_pool {
	const char *name;
	size_t workers_offset,
		queue_offset; /* of long longs in the app struct; workers 0: one a core */
};

/* One thing that the service cannot do without. Fails with what is wrong. Any thread; bounded. */
struct svc_health {
	const char *name;
	int (*check)(void *app, struct err *e);
};

struct svc_def {
	const char *name; /* "instance-manager" */
	const char *summary;
	size_t common_offset; /* of the struct svc_common in the app struct */
	const struct conf_key *conf;
	size_t conf_count;
	const struct bus_route *route;
	size_t route_count;
	const struct svc_pool *pool; /* further pools: a route's pool 1 is the first of these */
	size_t pool_count;
	const struct svc_health *health;
	size_t health_count;
	const struct bus_once *once;
	const enum subject_id *direct; /* bus_service.direct */
	size_t direct_count;

	/* Each may be NULL. check: settings that their rows alone cannot judge; connects to nothing,
	 * and is all that --check-config does. start: whatever can fail early, fails here. quiesce
	 * and stop must take a half-started app. */
	int (*check)(void *app, struct err *e);
	int (*start)(void *app, struct bus *b, struct err *e);
	void (*quiesce)(void *app);
	void (*stop)(void *app);
};

#define SVC_TABLE(field, table) .field = (table), .field##_count = COUNT(table)

/* What every service is configured with. Sits in the app struct, at svc_def.common_offset. */
struct svc_common {
	const char *nats_url;
	const char *bus_key;
	const char *log_level;
	long long bus_workers;
	long long bus_queue_max;
	struct trust_conf trust;
	struct seal seal; /* from bus_key */
};

/* Runs until SIGTERM or SIGINT; answers --help and --check-config. Returns the exit status. */
int svc_main(const struct svc_def *def, void *app, int argc, char **argv);

/* The handler of every service's health call: runs the table of checks. */
bus_handler svc_on_health;

/* The definition that this process runs. */
extern const struct svc_def *svc_running;

#endif
