#include "keeper.h"

#include "sweep.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>

#define TIDY_EVERY 360 /* sweeps: an hour */

/* lock guards is_stopping and engine. */
struct keeper {
	pthread_mutex_t lock;
	pthread_cond_t stopping;
	bool is_stopping;
	struct err engine; /* of the last ping; ERR_NONE: it is there */

	struct app *app;
	pthread_t thread;
	unsigned sweeps; /* the thread's own */
	bool is_failing; /* likewise */
};

/* False: it is to end. */
static bool nap(struct keeper *k, long long ms)
{
	long long at = clock_mono_ms() + ms;
	bool go_on;

	pthread_mutex_lock(&k->lock);
	while (!k->is_stopping)
		if (!clock_cond_wait(&k->stopping, &k->lock, at))
			break;
	go_on = !k->is_stopping;
	pthread_mutex_unlock(&k->lock);
	return go_on;
}

static bool ping(struct keeper *k)
{
	struct err e = ERR_INIT;
	struct engine_info info;
	bool is_there = engine_ping(k->app->engine, &info, &e) == 0;

	pthread_mutex_lock(&k->lock);
	k->engine = is_there ? ERR_INIT : e;
	pthread_mutex_unlock(&k->lock);
	return is_there;
}

static void sweep(struct keeper *k, bool has_engine)
{
	struct err e = ERR_INIT;
	int r = 0;

	if (has_engine)
		r = sweep_containers(k->app, &e);
	if (r == 0)
		r = sweep_directories(k->app, KEEPER_DIR_AGE_S, &e);
	if (r == 0 && k->sweeps++ % TIDY_EVERY == 0)
		r = sweep_database(k->app, &e);
	if (r < 0 && !k->is_failing)
		log_warn("sweep failed, trying again", "code", err_name(e.code), "error", e.msg);
	k->is_failing = r < 0;
}

static void *run(void *ctx)
{
	struct keeper *k = ctx;
	long long sweep_ms = 0;

	do {
		bool has_engine = ping(k);

		if (clock_mono_ms() >= sweep_ms) {
			sweep(k, has_engine);
			sweep_ms = clock_mono_ms() + KEEPER_SWEEP_MS;
		}
	} while (nap(k, KEEPER_PING_MS));
	return NULL;
}

int keeper_start(struct app *app, struct keeper **ret, struct err *e)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&k->lock, NULL);
	clock_cond_init(&k->stopping);
	k->app = app;
	if (pthread_create(&k->thread, NULL, run, k) != 0) {
		free(k);
		return err_set(e, ERR_INTERNAL, "no thread for the keeper");
	}
	*ret = k;
	return 0;
}

void keeper_stop(struct keeper *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	k->is_stopping = true;
	pthread_cond_signal(&k->stopping);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->stopping);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

int keeper_engine(struct keeper *k, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&k->lock);
	if (k->engine.code != ERR_NONE) {
		*e = k->engine;
		r = -1;
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}
