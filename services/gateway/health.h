#ifndef GATEWAY_HEALTH_H
#define GATEWAY_HEALTH_H

#include "route.h"

/*
 * GET /health: the bus, Redis, each service, and what services say of what they need themselves. All
 * are asked side by side, for at most HEALTH_WAIT_MS, and the answer is good for HEALTH_FRESH_MS:
 * asking often costs nothing. Needs no token, so it says no more than what is up.
 */
#define HEALTH_WAIT_MS  1400
#define HEALTH_FRESH_MS 1000

struct health;

int health_new(struct app *app, struct health **ret, struct err *e);
void health_free(struct health *h); /* NULL is fine */

/* 200, or 503 when the bus cannot be reached. Any thread. */
route_local health_answer;

#endif
