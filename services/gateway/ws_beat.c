#include "ws_beat.h"

#include "base/clock.h"
#include "ws_slot.h"
#include "ws_topics.h"

#include <pthread.h>

struct ws_beat {
	pthread_mutex_t lock; /* guards is_stopping */
	pthread_cond_t stopped;
	bool is_stopping;

	struct ws *ws;
	pthread_t thread;
};

/* The loop's thread. */
static void forgotten(struct ws *w, struct ws_task *t)
{
	ws_topics_resume_all(ws_topics_of(w));
	free(t);
}

static bool tell_loop(struct ws *w)
{
	struct ws_task *t = calloc(1, sizeof(*t));

	if (!t)
		return false;
	t->run = forgotten;
	ws_post(w, t);
	return true;
}

/* Until the next beat; false: there is none. */
static bool nap(struct ws_beat *b)
{
	long long at = clock_mono_ms() + WS_BEAT_MS;
	struct timespec until = { .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };
	bool go_on;

	pthread_mutex_lock(&b->lock);
	while (!b->is_stopping)
		if (pthread_cond_timedwait(&b->stopped, &b->lock, &until) != 0)
			break;
	go_on = !b->is_stopping;
	pthread_mutex_unlock(&b->lock);
	return go_on;
}

static void *run(void *ctx)
{
	struct ws_beat *b = ctx;
	bool is_owed = false; /* the loop is yet to be told */

	while (nap(b)) {
		struct err e = ERR_INIT;
		bool is_lost = false;

		/* While Redis is away there is nobody to tell; the next beat sees what it has forgotten. */
		if (ws_slots_beat(ws_slots_of(b->ws), &is_lost, &e) == 0 && is_lost)
			is_owed = true;
		if (is_owed)
			is_owed = !tell_loop(b->ws);
	}
	return NULL;
}

int ws_beat_start(struct ws *w, struct ws_beat **ret, struct err *e)
{
	struct ws_beat *b = calloc(1, sizeof(*b));
	pthread_condattr_t attr;

	if (!b)
		return err_set(e, ERR_INTERNAL, "out of memory");
	b->ws = w;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->stopped, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&b->thread, NULL, run, b) != 0) {
		pthread_cond_destroy(&b->stopped);
		pthread_mutex_destroy(&b->lock);
		free(b);
		return err_set(e, ERR_INTERNAL, "cannot start a thread");
	}
	*ret = b;
	return 0;
}

void ws_beat_stop(struct ws_beat *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->is_stopping = true;
	pthread_cond_signal(&b->stopped);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->stopped);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
