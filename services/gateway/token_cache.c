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

static bool find(struct token_cache *c, const unsigned char *hash, struct token_claims *ret)
{
	bool is_found = false;

	pthread_mutex_lock(&c->lock);
	for (struct entry *at = bucket_of(c, hash), *end = at + WAYS; at < end && !is_found; at++) {
		is_found = memcmp(at->hash, hash, sizeof(at->hash)) == 0;
		if (is_found)
			*ret = at->claims;
	}
	pthread_mutex_unlock(&c->lock);
	return is_found;
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
	pthread_mutex_unlock(&c->lock);
}

int token_cache_check(struct token_cache *c, const struct token_keys *k, const char *text,
                      struct token_claims *ret, struct err *e)
{
	unsigned char hash[crypto_generichash_BYTES];
	size_t len = strnlen(text, TOKEN_LEN_MAX + 1);

	if (len > TOKEN_LEN_MAX)
		return token_check(k, text, ret, e);
	(void)crypto_generichash(hash, sizeof(hash), (const unsigned char *)text, len, c->key,
	                         sizeof(c->key));
	if (find(c, hash, ret) && ret->expires_at_s > clock_now_ms() / 1000)
		return 0;
	if (token_check(k, text, ret, e) < 0)
		return -1;
	put(c, hash, ret);
	return 0;
}
