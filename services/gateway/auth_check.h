#ifndef GATEWAY_AUTH_CHECK_H
#define GATEWAY_AUTH_CHECK_H

#include "exchange.h"

/*
 * Who asks, and whether they may ask now. Fills the exchange's user, session and limit, and counts
 * the request against the route's limit.
 *
 * ERR_UNAUTHENTICATED: the route needs a user, and no valid token of a session that goes on was
 * given. ERR_FORBIDDEN: a cookie vouches for a change that another site asks for. ERR_LIMIT. A
 * token in the header comes before the cookie, which is then not looked at.
 */
int auth_check(struct exchange *x, struct err *e);

/* ERR_FORBIDDEN where a cookie vouches for a change and the page that asks is not one of ours. */
int auth_check_origin(const struct exchange *x, struct err *e);

/* Whether the session goes on, asked of auth. ERR_UNAUTHENTICATED when it does not. */
int auth_check_session(struct app *app, const struct bus_ctx *ctx, struct err *e);

#endif
