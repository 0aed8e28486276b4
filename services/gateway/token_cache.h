#ifndef GATEWAY_TOKEN_CACHE_H
#define GATEWAY_TOKEN_CACHE_H

#include "net/token.h"

/*
 * Access tokens whose signature was found good: checking it costs more than all else that the gateway
 * does for a request. Beside that, whether auth was asked about its session once: a signature says
 * that the claims are ours, not that there is such a session. What is kept is a keyed hash of the
 * token and its claims, in a table of bounded size; whether it has expired, and whether its session
 * goes on, is looked at each time. Any thread.
 */
struct token_cache;

int token_cache_new(struct token_cache **ret, struct err *e);
void token_cache_free(struct token_cache *c); /* NULL is fine */

/* As token_check(). *ret_is_known: somebody has called token_cache_know() for it. */
int token_cache_check(struct token_cache *c, const struct token_keys *k, const char *text,
                      struct token_claims *ret, bool *ret_is_known, struct err *e);

/* auth has said that the token's session is its user's: it need not be asked again. */
void token_cache_know(struct token_cache *c, const char *text);

#endif
