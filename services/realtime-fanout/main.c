/* Brings each event to the gateways whose sockets listen to it, in order, and to those who come
 * back what they missed. Owns the keys zaki:rt:* in Redis and the stream ZAKI_EVENTS. */

#include "app.h"

/* clang-format off */
static const struct conf_key conf[] = {
	/* environment        type      where                                  default  min  max   secret */
	{ "REDIS_URL",       CONF_STR, offsetof(struct app, redis_url),       NULL,    8,   4096, true,
	  "Redis: redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DB]" },
	{ "EVENTS_NATS_URL", CONF_STR, offsetof(struct app, events_nats_url), NULL,    8,   4096, true,
	  "The bus as the user that reads the stream of events: nats://USER:PASSWORD@HOST:PORT" },
};

static const struct bus_route routes[] = {
	{ SUBJ_REALTIME_SUBSCRIBE, on_subscribe,  0 },
	{ SUBJ_REALTIME_RELEASE,   on_release,    0 },
	{ SUBJ_REALTIME_HEALTH,    svc_on_health, 0 },
};

static const struct svc_health health[] = {
	{ "redis",  app_check_redis },
	{ "stream", app_check_stream },
};
/* clang-format on */

static const struct svc_def def = {
	.name = "realtime-fanout",
	.summary = "brings events to the gateways that listen",
	.common_offset = offsetof(struct app, common),
	SVC_TABLE(conf, conf),
	SVC_TABLE(route, routes),
	SVC_TABLE(health, health),
	.check = app_check,
	.start = app_start,
	.quiesce = app_quiesce,
	.stop = app_stop,
};

int main(int argc, char **argv)
{
	static struct app app;

	return svc_main(&def, &app, argc, argv);
}
