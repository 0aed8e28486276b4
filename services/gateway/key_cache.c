#include "key_cache.h"

#include "base/own.h"

#include <pthread.h>
#include <sodium.h>

#define BUCKETS 256
#define WAYS    4

struct entry {
	char hash[API_KEY_HASH_SIZE]; /* "": free */
	long long until_ms;
	struct key_info info;
};

struct key_cache {
	pthread_mutex_t lock; /* guards entries */
	struct entry entries[BUCKETS][WAYS];
};

int key_cache_new(struct key_cache **ret, struct err *e)
{
	struct key_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

void key_cache_free(struct key_cache *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* The hash is a hash already: its first digits spread as well as any. */
static struct entry *bucket_of(struct key_cache *c, const char *hash)
{
	char head[5];

	snprintf(head, sizeof(head), "%.4s", hash);
	return c->entries[strtoul(head, NULL, 16) % BUCKETS];
}

bool key_cache_find(struct key_cache *c, const char *hash, long long now_ms, struct key_info *ret)
{
	struct entry *bucket = bucket_of(c, hash);
	bool is_found = false;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < WAYS && !is_found; i++) {
		is_found = bucket[i].until_ms > now_ms &&
		           sodium_memcmp(bucket[i].hash, hash, sizeof(bucket[i].hash)) == 0;
		if (is_found)
			*ret = bucket[i].info;
	}
	pthread_mutex_unlock(&c->lock);
	return is_found;
}

/* In place of its own, or of the one of its bucket that is forgotten first. */
void key_cache_put(struct key_cache *c, const char *hash, long long now_ms,
                   const struct key_info *info)
{
	struct entry *bucket = bucket_of(c, hash), *at = bucket;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < WAYS; i++) {
		if (strcmp(bucket[i].hash, hash) == 0) {
			at = &bucket[i];
			break;
		}
		if (bucket[i].until_ms < at->until_ms)
			at = &bucket[i];
	}
	snprintf(at->hash, sizeof(at->hash), "%s", hash);
	at->until_ms = now_ms + KEY_CACHE_MS;
	at->info = *info;
	pthread_mutex_unlock(&c->lock);
}
