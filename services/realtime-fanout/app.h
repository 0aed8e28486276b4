#ifndef APP_H
#define APP_H

#include "store/redis.h"
#include "stream.h"
#include "svc/svc.h"

struct consumer;

/* The process. All but common and settings is made by app_start(), in this order, and undone by
 * app_stop(). Read-only once it serves; what it points to locks for itself. */
struct app {
	struct svc_common common;
	const char *redis_url, *events_nats_url;

	struct redis *redis;
	struct stream_conn events;
	struct consumer *consumer;
};

int app_check(void *app, struct err *e);
int app_start(void *app, struct bus *b, struct err *e);
void app_quiesce(void *app);
void app_stop(void *app);

int app_check_redis(void *app, struct err *e);
int app_check_stream(void *app, struct err *e);

bus_handler on_subscribe, on_release;

#endif
