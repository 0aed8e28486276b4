#include "app.h"

#include "base/clock.h"
#include "consumer.h"
#include "stream.h"

#define REDIS_SPARE   4     /* connections beside one a worker: the consumer's, health's */
#define JETSTREAM_MS  2000  /* how long JetStream may take for an answer */
#define STREAM_TRY_MS 10000 /* a nats-server that has just started answers before JetStream does */

static int stream_wait(jsCtx *js, struct err *e)
{
	long long until_ms = clock_mono_ms() + STREAM_TRY_MS;

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
	jsOptions opts;

	jsOptions_Init(&opts);
	opts.Wait = JETSTREAM_MS;
	if (natsConnection_JetStream(&app->js, bus_nats(b), &opts) != NATS_OK)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (stream_wait(app->js, e) < 0)
		return -1;
	return consumer_start(b, app->js, app->redis, &app->consumer, e);
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
	jsCtx_Destroy(app->js);
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

	return stream_state(app->js, &state, e);
}
