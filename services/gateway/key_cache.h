#ifndef GATEWAY_KEY_CACHE_H
#define GATEWAY_KEY_CACHE_H

#include "base/err.h"
#include "base/uuid.h"
#include "net/api_key.h"

/*
 * API keys that auth knew a moment ago, by their hash, in a table of bounded size, so that a busy
 * program does not cost auth a call each time. What is kept is believed for KEY_CACHE_MS at most;
 * whether the key was revoked meanwhile is looked at each time (limit_count_user()). Any thread.
 */
#define KEY_CACHE_MS 10000

struct key_cache;

struct key_info {
	char key_id[UUID_SIZE], user_id[UUID_SIZE];
	bool may_write;
	long long expires_s; /* unix; 0: never */
};

int key_cache_new(struct key_cache **ret, struct err *e);
void key_cache_free(struct key_cache *c); /* NULL is fine */

/* now_ms: monotonic. */
bool key_cache_find(struct key_cache *c, const char *hash, long long now_ms, struct key_info *ret);
void key_cache_put(struct key_cache *c, const char *hash, long long now_ms,
                   const struct key_info *info);

#endif
