#include "app.h"

#include "base/clock.h"
#include "base/fault.h"
#include "consumer.h"
#include "stream.h"

#define REDIS_SPARE   4     /* connections beside one a worker: the consumer's, health's */
#define JETSTREAM_MS  2000  /* how long JetStream may take for an answer */
#define CONNECT_MS    10000 /* for the second connection, where the first is there */
#define STREAM_TRY_MS 10000 /* a nats-server that has just started answers before JetStream does */

static int stream_wait(jsCtx *js, struct err *e)
{
	long long until_ms = clock_mono_ms() + fault_patience(STREAM_TRY_MS);

	while (stream_make(js, e) < 0) {
		if (e->code != ERR_UNAVAILABLE || clock_mono_ms() > until_ms)
			return err_wrap(e, "stream " STREAM_NAME);
		clock_sleep_ms(200);
	}
	return 0;
}

int app_check(void *closure, struct err *e)
{
	struct app *app = closure;

	return redis_open(app->redis_url, (size_t)app->common.bus_workers + REDIS_SPARE,
	                  &app->redis, e);
}

int app_start(void *closure, struct bus *b, struct err *e)
{
	struct app *app = closure;
	const struct bus_opt events = { .url = app->events_nats_url,
		                        .service = "realtime-fanout-events",
		                        .connect_ms = CONNECT_MS };
	struct consumer_opt consumer = { .redis = app->redis, .me = bus_instance_id(b) };
	jsOptions opts;

	if (bus_open(&events, &app->events.bus, e) < 0)
		return err_wrap(e, "EVENTS_NATS_URL");
	jsOptions_Init(&opts);
	opts.Wait = fault_patience(JETSTREAM_MS);
	if (natsConnection_JetStream(&app->events.js, bus_nats(app->events.bus), &opts) != NATS_OK)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (stream_wait(app->events.js, e) < 0)
		return -1;
	consumer.conn = app->events;
	return consumer_start(&consumer, &app->consumer, e);
}

void app_quiesce(void *closure)
{
	struct app *app = closure;

	consumer_stop(app->consumer);
	app->consumer = NULL;
}

void app_stop(void *closure)
{
	struct app *app = closure;

	redis_close(app->redis);
	jsCtx_Destroy(app->events.js);
	bus_close(app->events.bus);
}

int app_check_redis(void *closure, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;
	struct app *app = closure;

	return REDIS_CALL(app->redis, &reply, e, "PING");
}

int app_check_stream(void *closure, struct err *e)
{
	struct app *app = closure;
	struct stream_state state;

	return stream_state(app->events.js, &state, e);
}
