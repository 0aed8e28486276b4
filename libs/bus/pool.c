#include "bus/pool.h"

#include "base/own.h"

#include <pthread.h>

struct pool {
	pthread_mutex_t lock; /* guards first, count, is_closing and items */
	pthread_cond_t more;
	size_t first, count;
	bool is_closing;

	pool_work *work;
	size_t queue_max, thread_count;
	void **items; /* ring of queue_max */
	pthread_t threads[];
};

static void *run(void *closure)
{
	struct pool *p = closure;

	for (;;) {
		void *item = NULL;

		pthread_mutex_lock(&p->lock);
		while (p->count == 0 && !p->is_closing)
			pthread_cond_wait(&p->more, &p->lock);
		if (p->count > 0) {
			item = p->items[p->first];
			p->first = (p->first + 1) % p->queue_max;
			p->count--;
		}
		pthread_mutex_unlock(&p->lock);

		if (!item)
			return NULL;
		p->work(item);
	}
}

int pool_new(size_t workers, size_t queue_max, pool_work *work, struct pool **ret, struct err *e)
{
	struct pool *p = calloc(1, sizeof(*p) + workers * sizeof(p->threads[0]));

	if (!p || !(p->items = calloc(queue_max, sizeof(*p->items)))) {
		free(p);
		return err_set(e, ERR_INTERNAL, "out of memory");
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->work = work;
	p->queue_max = queue_max;

	for (size_t i = 0; i < workers; i++) {
		if (pthread_create(&p->threads[i], NULL, run, p) != 0) {
			pool_free(p);
			return err_set(e, ERR_INTERNAL, "cannot start a worker");
		}
		p->thread_count++;
	}
	*ret = p;
	return 0;
}

bool pool_add(struct pool *p, void *item)
{
	bool fits;

	pthread_mutex_lock(&p->lock);
	fits = !p->is_closing && p->count < p->queue_max;
	if (fits) {
		p->items[(p->first + p->count) % p->queue_max] = item;
		p->count++;
	}
	pthread_mutex_unlock(&p->lock);
	/* Outside the lock: the worker that wakes would only run into it. */
	if (fits)
		pthread_cond_signal(&p->more);
	return fits;
}

size_t pool_queued(struct pool *p)
{
	size_t count;

	pthread_mutex_lock(&p->lock);
	count = p->count;
	pthread_mutex_unlock(&p->lock);
	return count;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;

	pthread_mutex_lock(&p->lock);
	p->is_closing = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);

	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p->items);
	free(p);
}
