#include "svc/ticker.h"

#include "base/own.h"

#include <errno.h>
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
	struct timespec until;
	bool go_on;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += t->period_ms / 1000;
	until.tv_nsec += t->period_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&t->lock);
	while (!t->is_woken && !t->is_stopping && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&t->woken, &t->lock, &until);
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
	pthread_condattr_t attr;

	if (!t)
		return err_set(e, ERR_INTERNAL, "out of memory");
	t->work = work;
	t->ctx = ctx;
	t->period_ms = period_ms;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->woken, &attr);
	pthread_condattr_destroy(&attr);
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
