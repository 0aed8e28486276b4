#include "watch.h"

#include "glance.h"
#include "reconcile.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>

#define AGAIN_MS  500  /* between tries while the engine is away */
#define BEFORE_MS 5000 /* the engine's clock may be another's */

struct watch {
	struct app *app;
	volatile bool is_stopping; /* atomic: written once, read by the stream */
	long long since_ns;
	pthread_t thread;
};

static bool is_stopping(struct watch *w)
{
	return __atomic_load_n(&w->is_stopping, __ATOMIC_RELAXED);
}

static bool on_event(const struct engine_event *ev, void *ctx)
{
	struct watch *w = ctx;
	struct lease_poke poke = { .exit_code = -1 };

	w->since_ns = ev->time_ns + 1;
	if (!ev->instance_id[0])
		return true;
	glance_touch(w->app->glance, ev->instance_id);
	snprintf(poke.id, sizeof(poke.id), "%s", ev->instance_id);
	if (ev->kind == ENGINE_EVENT_DIED)
		poke.exit_code = ev->exit_code;
	poke.is_oom = ev->kind == ENGINE_EVENT_OOM;
	/* What we do to a container ourselves comes by here, too. */
	poke.is_minor = ev->kind == ENGINE_EVENT_CREATED || ev->kind == ENGINE_EVENT_CHANGED;
	reconcile_poke(w->app->reconciler, &poke);
	return true;
}

/* The stream begins where it broke, or a little before now: what happens until the engine has taken
 * the request comes with it. */
static void listen_from_now(struct watch *w)
{
	if (!w->since_ns)
		w->since_ns = (clock_now_ms() - BEFORE_MS) * 1000000;
	glance_hear(w->app->glance);
}

static void *run(void *ctx)
{
	struct watch *w = ctx;
	bool is_away = false;

	while (!is_stopping(w)) {
		struct err e = ERR_INIT;
		struct engine_info info;

		/* Nothing is heard from an engine that is not there, and nothing is lost by asking. */
		if (engine_ping(w->app->engine, &info, &e) == 0) {
			if (is_away)
				log_info("engine is there again", "version", info.version);
			is_away = false;
			listen_from_now(w);
			reconcile_poke(w->app->reconciler, NULL);
			if (engine_events(w->app->engine, w->since_ns, on_event, w, &w->is_stopping,
			                  &e) == 0)
				continue;
		}
		glance_touch(w->app->glance, NULL);
		if (!is_away && !is_stopping(w))
			log_warn("engine is away, trying again", "code", err_name(e.code), "error",
			         e.msg);
		is_away = true;
		for (int ms = 0; ms < AGAIN_MS && !is_stopping(w); ms += 100)
			clock_sleep_ms(100);
	}
	return NULL;
}

int watch_start(struct app *app, struct watch **ret, struct err *e)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	w->app = app;
	if (pthread_create(&w->thread, NULL, run, w) != 0) {
		free(w);
		return err_set(e, ERR_INTERNAL, "no thread for the engine's events");
	}
	*ret = w;
	return 0;
}

void watch_stop(struct watch *w)
{
	if (!w)
		return;
	__atomic_store_n(&w->is_stopping, true, __ATOMIC_RELAXED);
	pthread_join(w->thread, NULL);
	free(w);
}
