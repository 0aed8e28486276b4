#ifndef GATEWAY_KEY_CHECK_H
#define GATEWAY_KEY_CHECK_H

#include "exchange.h"

/*
 * A request that an API key vouches for. Fills the exchange's user, its session (the key's id) and
 * limit, and counts the request as its user's.
 *
 * ERR_UNAUTHENTICATED: no key that is good; ERR_FORBIDDEN: the route is not for keys, or not for one
 * that may only read; ERR_LIMIT: this address shows keys that we do not know too often.
 */
int key_check(struct exchange *x, const char *key, struct err *e);

#endif
