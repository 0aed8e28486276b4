#include "svc/ticker.h"

#include "base/clock.h"
#include "base/own.h"

#include <pthread.h>

struct ticker {
	pthread_mutex_t lock; /* guards is_woken, is_stopping */
	pthread_cond_t woken;
	bool is_woken, is_stopping;

	ticker_work *work;
	void *ctx;
	long long period_ms;
	pthread_t thread;
};

/* Until the period is over, or someone wakes it. False: the end. */
static bool wait_turn(struct ticker *t)
{
	long long until_ms = clock_mono_ms() + t->period_ms;
	bool go_on;

	pthread_mutex_lock(&t->lock);
	while (!t->is_woken && !t->is_stopping)
		if (!clock_cond_wait(&t->woken, &t->lock, until_ms))
			break;
	go_on = t->is_woken || !t->is_stopping;
	t->is_woken = false;
	pthread_mutex_unlock(&t->lock);
	return go_on;
}

static void *run(void *ctx)
{
	struct ticker *t = ctx;

	do
		t->work(t->ctx);
	while (wait_turn(t));
	return NULL;
}

int ticker_start(ticker_work *work, void *ctx, long long period_ms, struct ticker **ret,
                 struct err *e)
{
	struct ticker *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ERR_INTERNAL, "out of memory");
	t->work = work;
	t->ctx = ctx;
	t->period_ms = period_ms;
	pthread_mutex_init(&t->lock, NULL);
	clock_cond_init(&t->woken);
	if (pthread_create(&t->thread, NULL, run, t) != 0) {
		pthread_cond_destroy(&t->woken);
		pthread_mutex_destroy(&t->lock);
		free(t);
		return err_set(e, ERR_INTERNAL, "cannot start a thread");
	}
	*ret = t;
	return 0;
}

void ticker_wake(struct ticker *t)
{
	pthread_mutex_lock(&t->lock);
	t->is_woken = true;
	pthread_cond_signal(&t->woken);
	pthread_mutex_unlock(&t->lock);
}

void ticker_stop(struct ticker *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->is_stopping = true;
	pthread_cond_signal(&t->woken);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->woken);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
