#include "token_cache.h"

#include "base/clock.h"
#include "base/own.h"

#include <pthread.h>
#include <sodium.h>

#define BUCKETS 1024
#define WAYS    4

struct entry {
	unsigned char hash[crypto_generichash_BYTES]; /* all zero: free */
	struct token_claims claims;
	bool is_known;
};

struct token_cache {
	pthread_mutex_t lock; /* guards entries */
	unsigned char key[crypto_generichash_KEYBYTES];
	struct entry entries[BUCKETS][WAYS];
};

int token_cache_new(struct token_cache **ret, struct err *e)
{
	struct token_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&c->lock, NULL);
	crypto_generichash_keygen(c->key);
	*ret = c;
	return 0;
}

void token_cache_free(struct token_cache *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	sodium_memzero(c, sizeof(*c));
	free(c);
}

static struct entry *bucket_of(struct token_cache *c, const unsigned char *hash)
{
	return c->entries[(hash[0] | hash[1] << 8) % BUCKETS];
}

/* With the lock: NULL where it is not there. */
static struct entry *find(struct token_cache *c, const unsigned char *hash)
{
	struct entry *bucket = bucket_of(c, hash);

	for (size_t i = 0; i < WAYS; i++)
		if (sodium_memcmp(bucket[i].hash, hash, sizeof(bucket[i].hash)) == 0)
			return &bucket[i];
	return NULL;
}

/* In place of the one of its bucket that ends first. */
static void put(struct token_cache *c, const unsigned char *hash, const struct token_claims *claims)
{
	struct entry *bucket = bucket_of(c, hash), *least = bucket;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 1; i < WAYS; i++)
		if (bucket[i].claims.expires_at_s < least->claims.expires_at_s)
			least = &bucket[i];
	memcpy(least->hash, hash, sizeof(least->hash));
	least->claims = *claims;
	least->is_known = false;
	pthread_mutex_unlock(&c->lock);
}

static void hash_of(struct token_cache *c, const char *text, size_t len,
                    unsigned char ret[crypto_generichash_BYTES])
{
	(void)crypto_generichash(ret, crypto_generichash_BYTES, (const unsigned char *)text, len,
	                         c->key, sizeof(c->key));
}

int token_cache_check(struct token_cache *c, const struct token_keys *k, const char *text,
                      struct token_claims *ret, bool *ret_is_known, struct err *e)
{
	unsigned char hash[crypto_generichash_BYTES];
	size_t len = strnlen(text, TOKEN_LEN_MAX + 1);
	struct entry found = { .is_known = false };
	const struct entry *at;

	*ret_is_known = false;
	if (len > TOKEN_LEN_MAX)
		return token_check(k, text, ret, e);
	hash_of(c, text, len, hash);
	pthread_mutex_lock(&c->lock);
	at = find(c, hash);
	if (at)
		found = *at;
	pthread_mutex_unlock(&c->lock);
	if (at && found.claims.expires_at_s > clock_now_ms() / 1000) {
		*ret = found.claims;
		*ret_is_known = found.is_known;
		return 0;
	}
	if (token_check(k, text, ret, e) < 0)
		return -1;
	put(c, hash, ret);
	return 0;
}

void token_cache_know(struct token_cache *c, const char *text)
{
	unsigned char hash[crypto_generichash_BYTES];
	struct entry *at;

	hash_of(c, text, strlen(text), hash);
	pthread_mutex_lock(&c->lock);
	at = find(c, hash);
	if (at)
		at->is_known = true;
	pthread_mutex_unlock(&c->lock);
}
