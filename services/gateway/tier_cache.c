#include "tier_cache.h"

#include "base/own.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
#define WAYS    4

struct entry {
	char user_id[UUID_SIZE]; /* "": free */
	long long until_ms;
	const struct tier *tier;
};

struct tier_cache {
	pthread_mutex_t lock; /* guards entries */
	struct entry entries[BUCKETS][WAYS];
};

int tier_cache_new(struct tier_cache **ret, struct err *e)
{
	struct tier_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

void tier_cache_free(struct tier_cache *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* An id is random: its first digits spread as well as any hash. */
static struct entry *bucket_of(struct tier_cache *c, const char *user_id)
{
	return c->entries[strtoul(user_id, NULL, 16) % BUCKETS];
}

const struct tier *tier_cache_find(struct tier_cache *c, const char *user_id, long long now_ms,
                                   bool *ret_is_fresh)
{
	const struct entry *bucket = bucket_of(c, user_id);
	const struct tier *found = NULL;

	*ret_is_fresh = false;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < WAYS && !found; i++) {
		if (strcmp(bucket[i].user_id, user_id) != 0)
			continue;
		found = bucket[i].tier;
		*ret_is_fresh = bucket[i].until_ms > now_ms;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

/* In place of their own, or of the one of its bucket that was asked for longest ago. */
void tier_cache_put(struct tier_cache *c, const char *user_id, long long now_ms,
                    const struct tier *tier)
{
	struct entry *bucket = bucket_of(c, user_id), *at = bucket;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < WAYS; i++) {
		if (strcmp(bucket[i].user_id, user_id) == 0) {
			at = &bucket[i];
			break;
		}
		if (bucket[i].until_ms < at->until_ms)
			at = &bucket[i];
	}
	memcpy(at->user_id, user_id, sizeof(at->user_id));
	at->until_ms = now_ms + TIER_CACHE_MS;
	at->tier = tier;
	pthread_mutex_unlock(&c->lock);
}
