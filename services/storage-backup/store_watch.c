#include "store_watch.h"

#include "base/log.h"
#include "svc/ticker.h"

#include <pthread.h>

#define PERIOD_MS 30000

struct store_watch {
	pthread_mutex_t lock; /* guards last */
	struct err last;
	struct storage *storage;
	struct ticker *ticker;
};

static void look(void *ctx)
{
	struct store_watch *w = ctx;
	struct err e = ERR_INIT;
	bool was_well;

	if (storage_check(w->storage, &e) == 0)
		e = ERR_INIT;
	pthread_mutex_lock(&w->lock);
	was_well = w->last.code == ERR_NONE;
	w->last = e;
	pthread_mutex_unlock(&w->lock);
	if (e.code != ERR_NONE && was_well)
		log_error("the store of backups is away", "code", err_name(e.code), "error", e.msg);
	else if (e.code == ERR_NONE && !was_well)
		log_info("the store of backups is back");
}

int store_watch_start(struct storage *s, struct store_watch **ret, struct err *e)
{
	struct store_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&w->lock, NULL);
	w->last = ERR_INIT;
	w->storage = s;
	if (ticker_start(look, w, PERIOD_MS, &w->ticker, e) < 0) {
		free(w);
		return -1;
	}
	*ret = w;
	return 0;
}

void store_watch_stop(struct store_watch *w)
{
	if (!w)
		return;
	ticker_stop(w->ticker);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int store_watch_check(struct store_watch *w, struct err *e)
{
	struct err last;

	pthread_mutex_lock(&w->lock);
	last = w->last;
	pthread_mutex_unlock(&w->lock);
	if (last.code == ERR_NONE)
		return 0;
	*e = last;
	return -1;
}
