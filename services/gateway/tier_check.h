#ifndef GATEWAY_TIER_CHECK_H
#define GATEWAY_TIER_CHECK_H

#include "app.h"

/* How much somebody may do here: as RATE_API_PER_MIN and WS_PER_USER say, or where they are 0 as the
 * person's tier does. While auth is away the tier is what it was, or else the first. Any thread. */
long long tier_requests_per_min(struct app *app, const char *user_id, const char *trace_id);
long long tier_sockets(struct app *app, const char *user_id, const char *trace_id);

/* For people who are not known. */
long long tier_requests_of_strangers(const struct app *app);

#endif
