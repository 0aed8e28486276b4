#include "gcra.h"

#include "base/own.h"

#include <pthread.h>
#include <sodium.h>

#define PERIOD_US 60000000LL
#define WAYS      8 /* keys of one bucket */

struct cell {
	uint64_t key;     /* 0: free */
	long long tat_us; /* theoretical arrival time: when all is allowed again */
};

struct gcra {
	pthread_mutex_t lock;                              /* guards cells */
	unsigned char hash_key[crypto_shorthash_KEYBYTES]; /* no stranger can aim at a bucket */
	size_t bucket_count;
	struct cell cells[];
};

int gcra_new(size_t keys_max, struct gcra **ret, struct err *e)
{
	size_t buckets = (keys_max + WAYS - 1) / WAYS;
	struct gcra *g = calloc(1, sizeof(*g) + buckets * WAYS * sizeof(g->cells[0]));

	if (!g)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&g->lock, NULL);
	crypto_shorthash_keygen(g->hash_key);
	g->bucket_count = buckets;
	*ret = g;
	return 0;
}

void gcra_free(struct gcra *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static uint64_t hash_of(const struct gcra *g, const char *key)
{
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key, strlen(key),
	                 g->hash_key);
	return hash ? hash : 1;
}

/* The key's cell, or the one that it may take. */
static struct cell *cell_of(struct gcra *g, uint64_t key)
{
	struct cell *bucket = &g->cells[key % g->bucket_count * WAYS], *least = bucket;

	for (size_t i = 0; i < WAYS; i++) {
		if (bucket[i].key == key)
			return &bucket[i];
		if (bucket[i].tat_us < least->tat_us)
			least = &bucket[i];
	}
	*least = (struct cell){ .key = key };
	return least;
}

void gcra_count(struct gcra *g, const char *key, long long per_min, long long now_us,
                struct gcra_result *ret)
{
	const long long step = PERIOD_US / per_min;
	uint64_t hash = hash_of(g, key);
	struct cell *c;
	long long tat, over;

	pthread_mutex_lock(&g->lock);
	c = cell_of(g, hash);
	tat = c->tat_us > now_us ? c->tat_us : now_us;
	over = tat + step - PERIOD_US - now_us;
	if (over <= 0)
		c->tat_us = tat += step;
	pthread_mutex_unlock(&g->lock);

	*ret = (struct gcra_result){
		.is_allowed = over <= 0,
		.remaining = over <= 0 ? (PERIOD_US - (tat - now_us)) / step : 0,
		.reset_us = tat - now_us,
		.wait_us = over > 0 ? over : 0,
	};
}
