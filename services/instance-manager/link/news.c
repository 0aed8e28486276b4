#include "link/news.h"

#include "base/log.h"
#include "bus/pool.h"

#include <pthread.h>

#define BOXES_MAX 16384 /* that wait for a thread */
#define SPARE     32    /* places for what a resync does not make up for: that it is up, or down */

struct news_desk {
	struct app *app;
	struct pool *pool;
};

/* lock guards all but what is set once. A box is in the pool's queue or worked off at most once. */
struct news_box {
	pthread_mutex_t lock;
	struct news *first, *last;
	size_t count;
	bool is_busy, is_closed, is_overrun;

	struct news_desk *desk;
	char id[UUID_SIZE], user_id[UUID_SIZE];
	struct pace pace; /* the worker's own */
};

static void news_free(struct news *n)
{
	cJSON_Delete(n->payload);
	explicit_bzero(n->text, sizeof(n->text));
	free(n);
}

static void box_free(struct news_box *b)
{
	struct news *next;

	for (struct news *n = b->first; n; n = next) {
		next = n->next;
		news_free(n);
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* The next; NULL: there is none, and the box is nobody's (or is gone, where it was closed). */
static struct news *box_take(struct news_box *b)
{
	struct news *n;
	bool is_end;

	pthread_mutex_lock(&b->lock);
	n = b->first;
	if (n) {
		b->first = n->next;
		if (!b->first)
			b->last = NULL;
		b->count--;
	} else if (b->is_overrun) {
		n = calloc(1, sizeof(*n));
		b->is_overrun = !n;
		if (n)
			n->kind = NEWS_GAP;
	}
	if (!n)
		b->is_busy = false;
	is_end = !n && b->is_closed;
	pthread_mutex_unlock(&b->lock);
	if (is_end)
		box_free(b);
	return n;
}

static void work(void *item)
{
	struct news_box *b = item;
	const struct news_of of = { b->desk->app, b->id, b->user_id, &b->pace };
	struct news *n;

	/* b is gone once there is none. */
	while ((n = box_take(b))) {
		on_news(&of, n);
		news_free(n);
	}
}

int news_desk_start(struct app *app, struct news_desk **ret, struct err *e)
{
	struct news_desk *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = d;
	d->app = app;
	return pool_new(NEWS_WORKERS, BOXES_MAX, work, &d->pool, e);
}

void news_desk_stop(struct news_desk *d)
{
	if (!d)
		return;
	pool_free(d->pool);
	free(d);
}

struct news_box *news_box_open(struct news_desk *d, const char *id, const char *user_id)
{
	struct news_box *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	pthread_mutex_init(&b->lock, NULL);
	b->desk = d;
	snprintf(b->id, sizeof(b->id), "%s", id);
	snprintf(b->user_id, sizeof(b->user_id), "%s", user_id);
	return b;
}

void news_box_close(struct news_box *b)
{
	bool is_idle;

	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->is_closed = true;
	is_idle = !b->is_busy;
	pthread_mutex_unlock(&b->lock);
	if (is_idle)
		box_free(b);
}

static bool box_add(struct news_box *b, struct news *n)
{
	bool is_first = false, is_taken = false;

	pthread_mutex_lock(&b->lock);
	if (b->count >= NEWS_BOX_MAX + (n->kind < NEWS_GAP ? SPARE : 0)) {
		b->is_overrun = true;
	} else {
		if (b->last)
			b->last->next = n;
		else
			b->first = n;
		b->last = n;
		b->count++;
		is_taken = true;
		is_first = !b->is_busy;
		b->is_busy = true;
	}
	pthread_mutex_unlock(&b->lock);
	if (is_first && !pool_add(b->desk->pool, b)) {
		pthread_mutex_lock(&b->lock);
		b->is_busy = false;
		pthread_mutex_unlock(&b->lock);
	}
	return is_taken;
}

bool news_put(struct news_box *b, enum news_kind kind, const char *text, cJSON *payload)
{
	struct news *n = calloc(1, sizeof(*n));

	if (!n) {
		cJSON_Delete(payload);
		return false;
	}
	n->kind = kind;
	n->payload = payload;
	snprintf(n->text, sizeof(n->text), "%s", text);
	if (box_add(b, n))
		return true;
	news_free(n);
	return false;
}
