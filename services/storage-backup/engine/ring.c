#include "engine/ring.h"

#include "format/mem.h"

#include <pthread.h>
#include <signal.h>

#define WORKERS_MAX 8

enum slot_state { SLOT_FREE, SLOT_FILLED, SLOT_DONE };

struct worker {
	struct ring *ring;
	int number;
	pthread_t thread;
};

/* lock guards all but opt, slots and workers. Positions only grow; a slot is at position % slots. */
struct ring {
	pthread_mutex_t lock;
	pthread_cond_t has_work, is_done;
	struct ring_opt opt;
	void **slots;
	enum slot_state *states;
	size_t taken, claimed, filled; /* taken <= claimed <= filled <= taken + slots */
	bool is_ending;
	int worker_count;
	struct worker workers[WORKERS_MAX];
};

/* With the lock: the next position that needs a worker; false when there is none. */
static bool claim(struct ring *r, size_t *ret)
{
	for (; r->claimed < r->filled; r->claimed++)
		if (r->states[r->claimed % r->opt.slots] == SLOT_FILLED) {
			*ret = r->claimed++;
			return true;
		}
	return false;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct ring *r = w->ring;
	size_t at;

	pthread_mutex_lock(&r->lock);
	while (!r->is_ending) {
		if (!claim(r, &at)) {
			pthread_cond_wait(&r->has_work, &r->lock);
			continue;
		}
		pthread_mutex_unlock(&r->lock);
		r->opt.work(r->opt.ctx, r->slots[at % r->opt.slots], w->number);
		pthread_mutex_lock(&r->lock);
		r->states[at % r->opt.slots] = SLOT_DONE;
		pthread_cond_signal(&r->is_done);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* Signals are the process's main thread's. */
static int worker_start(struct ring *r, struct err *e)
{
	struct worker *w = &r->workers[r->worker_count];
	sigset_t all, old;
	int failed;

	w->ring = r;
	w->number = r->worker_count;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	failed = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed)
		return err_set(e, ERR_INTERNAL, "no thread: %s", strerrordesc_np(failed));
	r->worker_count++;
	return 0;
}

int ring_new(const struct ring_opt *opt, void *const *slots, struct ring **ret, struct err *e)
{
	OWN(ring) struct ring *r = mem_new(sizeof(*r));

	if (!r)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->has_work, NULL);
	pthread_cond_init(&r->is_done, NULL);
	r->opt = *opt;
	r->slots = mem_array(opt->slots, sizeof(*r->slots));
	r->states = mem_array(opt->slots, sizeof(*r->states));
	if (!r->slots || !r->states)
		return err_set(e, ERR_INTERNAL, "out of memory");
	memcpy(r->slots, slots, opt->slots * sizeof(*slots));
	for (int i = 0; i < opt->workers && i < WORKERS_MAX; i++)
		if (worker_start(r, e) < 0)
			return -1;
	*ret = TAKE(r);
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->is_ending = true;
	pthread_cond_broadcast(&r->has_work);
	pthread_mutex_unlock(&r->lock);
	for (int i = 0; i < r->worker_count; i++)
		pthread_join(r->workers[i].thread, NULL);
	pthread_cond_destroy(&r->has_work);
	pthread_cond_destroy(&r->is_done);
	pthread_mutex_destroy(&r->lock);
	free(r->slots);
	free(r->states);
	free(r);
}

/* The oldest slot, once it is done. */
static int take_oldest(struct ring *r, struct err *e)
{
	size_t at = r->taken % r->opt.slots;

	pthread_mutex_lock(&r->lock);
	while (r->states[at] != SLOT_DONE)
		pthread_cond_wait(&r->is_done, &r->lock);
	pthread_mutex_unlock(&r->lock);
	if (r->opt.take(r->opt.ctx, r->slots[at], e) < 0)
		return -1;
	pthread_mutex_lock(&r->lock);
	r->states[at] = SLOT_FREE;
	r->taken++;
	if (r->claimed < r->taken)
		r->claimed = r->taken; /* it needed no worker */
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static bool oldest_is_done(struct ring *r)
{
	bool done;

	pthread_mutex_lock(&r->lock);
	done = r->taken < r->filled && r->states[r->taken % r->opt.slots] == SLOT_DONE;
	pthread_mutex_unlock(&r->lock);
	return done;
}

void *ring_next(struct ring *r, struct err *e)
{
	/* What is done is taken at once: the owner's part overlaps with the workers'. */
	while (r->filled - r->taken == r->opt.slots || oldest_is_done(r))
		if (take_oldest(r, e) < 0)
			return NULL;
	return r->slots[r->filled % r->opt.slots];
}

void ring_put(struct ring *r, bool needs_work)
{
	pthread_mutex_lock(&r->lock);
	r->states[r->filled % r->opt.slots] = needs_work ? SLOT_FILLED : SLOT_DONE;
	r->filled++;
	if (needs_work)
		pthread_cond_signal(&r->has_work);
	pthread_mutex_unlock(&r->lock);
}

int ring_finish(struct ring *r, struct err *e)
{
	while (r->taken < r->filled)
		if (take_oldest(r, e) < 0)
			return -1;
	return 0;
}
