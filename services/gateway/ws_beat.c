#include "ws_beat.h"

#include "base/clock.h"
#include "base/log.h"
#include "ws_slot.h"
#include "ws_topics.h"

#include <pthread.h>

struct ws_beat {
	pthread_mutex_t lock; /* guards is_stopping and is_done */
	pthread_cond_t woken;
	bool is_stopping;
	bool is_done; /* the loop has run the task */

	struct ws_task task;
	struct ws *ws;
	pthread_t thread;
};

/* ---- the loop's thread ------------------------------------------------------------------------- */

static void done(struct ws_task *t)
{
	struct ws_beat *b = (struct ws_beat *)((char *)t - offsetof(struct ws_beat, task));

	pthread_mutex_lock(&b->lock);
	b->is_done = true;
	pthread_cond_signal(&b->woken);
	pthread_mutex_unlock(&b->lock);
}

static void deafen(struct ws *w, struct ws_task *t)
{
	ws_topics_deafen(ws_topics_of(w));
	done(t);
}

static void listen_again(struct ws *w, struct ws_task *t)
{
	ws_topics_listen(ws_topics_of(w));
	done(t);
}

/* ---- the beat's -------------------------------------------------------------------------------- */

/* Waits for it: the loop itself never waits, and outlives the beat. */
static void on_loop(struct ws_beat *b, void (*run)(struct ws *w, struct ws_task *t))
{
	b->is_done = false;
	b->task.run = run;
	ws_post(b->ws, &b->task);
	pthread_mutex_lock(&b->lock);
	while (!b->is_done)
		pthread_cond_wait(&b->woken, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

/* Until the next beat; false: there is none. */
static bool nap(struct ws_beat *b)
{
	long long at = clock_mono_ms() + WS_BEAT_MS;
	bool go_on;

	pthread_mutex_lock(&b->lock);
	while (!b->is_stopping)
		if (!clock_cond_wait(&b->woken, &b->lock, at))
			break;
	go_on = !b->is_stopping;
	pthread_mutex_unlock(&b->lock);
	return go_on;
}

/*
 * A key that is gone is made anew only when no event is sent any more: with the key what was registered
 * since would count again, and an event of such a topic would come before those that were missed. While
 * Redis is away it stays so, which costs nothing: then nothing is delivered to anybody. A crash leaves
 * a key that ends by itself, or none.
 */
static void *run(void *ctx)
{
	struct ws_beat *b = ctx;
	struct ws_slots *slots = ws_slots_of(b->ws);
	bool is_lost = false;

	while (nap(b)) {
		struct err e = ERR_INIT;

		if (!is_lost && ws_slots_beat(slots, &is_lost, &e) == 0 && is_lost)
			on_loop(b, deafen);
		if (!is_lost || ws_slots_begin(slots, &e) < 0)
			continue;
		on_loop(b, listen_again);
		is_lost = false;
		log_warn("Redis had forgotten this gateway, its topics resume");
	}
	return NULL;
}

int ws_beat_start(struct ws *w, struct ws_beat **ret, struct err *e)
{
	struct ws_beat *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, ERR_INTERNAL, "out of memory");
	b->ws = w;
	pthread_mutex_init(&b->lock, NULL);
	clock_cond_init(&b->woken);
	if (pthread_create(&b->thread, NULL, run, b) != 0) {
		pthread_cond_destroy(&b->woken);
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
	pthread_cond_signal(&b->woken);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->woken);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
