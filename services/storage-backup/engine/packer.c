#include "engine/packer.h"

#include "format/mem.h"

#include <pthread.h>
#include <signal.h>

#define SENDERS 2 /* one waits for the store's disk while another writes */

/* lock guards all from waiting on, but for stored. A pack that is sent is its thread's meanwhile. */
struct packer {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t threads[SENDERS];
	int thread_count;
	const struct engine *en;
	const struct keys *keys;
	struct pack_table *table;

	struct pack *filling;
	bool is_begun;
	uint32_t number;  /* of the one that is filled */
	long long stored; /* the owner's */

	struct pack *waiting; /* for a thread */
	struct pack *spare[SENDERS];
	int spare_count, sending;
	bool is_ending;
	struct err failure;
};

static void *run(void *arg)
{
	struct packer *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct pack *pack;
		struct key_text key;
		struct err e = ERR_INIT;
		int r;

		while (!p->waiting && !p->is_ending)
			pthread_cond_wait(&p->changed, &p->lock);
		pack = p->waiting;
		if (!pack)
			break;
		p->waiting = NULL;
		p->sending++;
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
		key = key_of_pack(p->keys->user_id, pack->id);
		fault_point("snapshot.pack");
		r = storage_put(p->en->storage, key.text, pack->bytes, pack->len, &e);
		fault_point("snapshot.packed");
		pthread_mutex_lock(&p->lock);
		if (r < 0 && !p->failure.code)
			p->failure = e;
		p->spare[p->spare_count++] = pack;
		p->sending--;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int packer_new(const struct engine *en, const struct keys *k, struct pack_table *table,
               struct packer **ret, struct err *e)
{
	OWN(packer) struct packer *p = mem_new(sizeof(*p));
	sigset_t all, old;
	int failed = 0;

	if (!p)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->en = en;
	p->keys = k;
	p->table = table;
	if (pack_new(&p->filling, e) < 0)
		return -1;
	for (; p->spare_count < SENDERS; p->spare_count++)
		if (pack_new(&p->spare[p->spare_count], e) < 0)
			return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (p->thread_count < SENDERS && !failed) {
		failed = pthread_create(&p->threads[p->thread_count], NULL, run, p);
		p->thread_count += !failed;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed)
		return err_set(e, ERR_INTERNAL, "no thread: %s", strerrordesc_np(failed));
	*ret = TAKE(p);
	return 0;
}

void packer_free(struct packer *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	while (p->waiting) /* it is somebody's to free */
		pthread_cond_wait(&p->changed, &p->lock);
	p->is_ending = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	pack_free(p->filling);
	for (int i = 0; i < p->spare_count; i++)
		pack_free(p->spare[i]);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* With the lock: waits until there is a spare one, or until all are sent. */
static int wait_for(struct packer *p, bool all, struct err *e)
{
	while (p->waiting || (all ? p->sending > 0 : p->spare_count == 0))
		pthread_cond_wait(&p->changed, &p->lock);
	if (!p->failure.code)
		return 0;
	*e = p->failure;
	return -1;
}

/* The full one goes to the thread, the other is filled next. */
static int hand_over(struct packer *p, struct err *e)
{
	int r;

	pack_end(p->filling, p->keys);
	p->table->packs[p->number].size = (uint32_t)p->filling->len;
	p->table->packs[p->number].is_there = true;
	p->is_begun = false;

	pthread_mutex_lock(&p->lock);
	r = wait_for(p, false, e);
	if (r == 0) {
		p->stored += (long long)p->filling->len;
		p->waiting = p->filling;
		p->filling = p->spare[--p->spare_count];
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

int packer_add(struct packer *p, const struct chunk_frame *frame, struct chunk_place *ret,
               struct err *e)
{
	if (p->is_begun && !pack_fits(p->filling, frame->len) && hand_over(p, e) < 0)
		return -1;
	if (!p->is_begun) {
		pack_begin(p->filling, p->keys);
		if (pack_table_add(p->table, p->filling->id, 0, &p->number, e) < 0)
			return -1;
		p->is_begun = true;
	}
	*ret = (struct chunk_place){ .pack = p->number,
		                     .offset = pack_add(p->filling, frame),
		                     .len = (uint32_t)frame->len,
		                     .plain_len = (uint32_t)frame->plain_len };
	return 0;
}

int packer_finish(struct packer *p, struct err *e)
{
	int r;

	if (p->is_begun && hand_over(p, e) < 0)
		return -1;
	pthread_mutex_lock(&p->lock);
	r = wait_for(p, true, e);
	pthread_mutex_unlock(&p->lock);
	return r;
}

long long packer_stored(struct packer *p)
{
	return p->stored;
}
