#ifndef GATEWAY_TIER_CACHE_H
#define GATEWAY_TIER_CACHE_H

#include "base/tier.h"
#include "base/uuid.h"

/*
 * The tiers of people who were here a moment ago, in a table of bounded size, so that auth is asked once
 * in TIER_CACHE_MS. One that is too old still says what it last was, for while auth is away. Any thread.
 */
#define TIER_CACHE_MS 60000 /* after which a change of tier holds everywhere */

struct tier_cache;

int tier_cache_new(struct tier_cache **ret, struct err *e);
void tier_cache_free(struct tier_cache *c); /* NULL is fine */

/* NULL: not known. now_ms: monotonic; *ret_is_fresh: need not be asked again. */
const struct tier *tier_cache_find(struct tier_cache *c, const char *user_id, long long now_ms,
                                   bool *ret_is_fresh);
void tier_cache_put(struct tier_cache *c, const char *user_id, long long now_ms,
                    const struct tier *tier);

#endif
