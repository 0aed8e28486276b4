#ifndef ALLOWANCE_H
#define ALLOWANCE_H

#include "app.h"
#include "base/tier.h"

/* How many backups a person may ask for in any 24 hours, over all their assistants: as many as their
 * tier has. Those that the schedule makes are not counted. */

/* Asked of auth; while that is away the first tier's allowance has to do. Not within a transaction. */
const struct tier *allowance_of(struct app *app, const struct bus_ctx *who);

/* ERR_LIMIT, with when to come back. In the transaction that adds one, so that two cannot both be the
 * last. */
int allowance_check(struct pg_conn *c, const char *user_id, const struct tier *tier, struct err *e);

#endif
