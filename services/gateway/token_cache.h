#ifndef GATEWAY_TOKEN_CACHE_H
#define GATEWAY_TOKEN_CACHE_H

#include "net/token.h"

/*
 * Access tokens whose signature was found good: checking it costs more than all else that the gateway
 * does for a request. What is kept is a keyed hash of the token and its claims, in a table of bounded
 * size; whether it has expired, and whether its session goes on, is looked at each time. Any thread.
 */
struct token_cache;

int token_cache_new(struct token_cache **ret, struct err *e);
void token_cache_free(struct token_cache *c); /* NULL is fine */

/* As token_check(). */
int token_cache_check(struct token_cache *c, const struct token_keys *k, const char *text,
                      struct token_claims *ret, struct err *e);

#endif
