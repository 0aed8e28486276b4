#ifndef QUOTA_H
#define QUOTA_H

#include "app.h"

/* How many instances a person may have, by their tier, which auth knows. */

/* ERR_UNAVAILABLE, ERR_TIMEOUT: auth is away. ERR_NOT_FOUND: no such person any more.
 * ERR_CONFLICT: their account is to be deleted. */
int quota_of(struct app *app, const struct bus_ctx *who, struct arena *a, long long *ret,
             struct err *e);

/* ERR_QUOTA. In a transaction that has store_lock_user(), so that two cannot both be the last. */
int quota_check(struct pg_conn *c, const char *user_id, long long max, struct err *e);

#endif
