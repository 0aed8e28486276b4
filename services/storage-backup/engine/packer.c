#include "engine/packer.h"

#include "format/mem.h"

#include <pthread.h>
#include <signal.h>

/* lock guards sending, is_ending and failure; the pack that is sent is the thread's meanwhile. */
struct packer {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool has_thread;
	const struct engine *en;
	const struct keys *keys;
	struct pack_table *table;

	struct pack *filling, *spare;
	bool is_begun;
	uint32_t number; /* of the one that is filled */
	struct pack *sending;
	bool is_ending;
	struct err failure;
	long long stored;
};

static void *run(void *arg)
{
	struct packer *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct key_text key;
		struct err e = ERR_INIT;
		int r;

		while (!p->sending && !p->is_ending)
			pthread_cond_wait(&p->changed, &p->lock);
		if (!p->sending)
			break;
		pthread_mutex_unlock(&p->lock);
		key = key_of_pack(p->keys->user_id, p->sending->id);
		fault_point("snapshot.pack");
		r = storage_put(p->en->storage, key.text, p->sending->bytes, p->sending->len, &e);
		fault_point("snapshot.packed");
		pthread_mutex_lock(&p->lock);
		if (r < 0 && !p->failure.code)
			p->failure = e;
		p->spare = p->sending;
		p->sending = NULL;
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
	int failed;

	if (!p)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->en = en;
	p->keys = k;
	p->table = table;
	if (pack_new(&p->filling, e) < 0 || pack_new(&p->spare, e) < 0)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	failed = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed)
		return err_set(e, ERR_INTERNAL, "no thread: %s", strerrordesc_np(failed));
	p->has_thread = true;
	*ret = TAKE(p);
	return 0;
}

void packer_free(struct packer *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->is_ending = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (p->has_thread)
		pthread_join(p->thread, NULL);
	pack_free(p->filling);
	pack_free(p->spare);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* With the lock: waits until nothing is being sent. */
static int wait_sent(struct packer *p, struct err *e)
{
	while (p->sending)
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
	r = wait_sent(p, e);
	if (r == 0) {
		p->stored += (long long)p->filling->len;
		p->sending = p->filling;
		p->filling = p->spare;
		p->spare = NULL;
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
	r = wait_sent(p, e);
	pthread_mutex_unlock(&p->lock);
	return r;
}

long long packer_stored(struct packer *p)
{
	return p->stored;
}
