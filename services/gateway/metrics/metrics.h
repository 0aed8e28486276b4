#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "app.h"

/*
 * GET /metrics, for Prometheus: the whole suite's figures, on a port of its own that people never reach
 * (METRICS_BIND, METRICS_PORT). Each gateway serves the same; one is enough to ask. No secret is in it,
 * and nobody is named. METRICS_PORT 0: not at all.
 */
#define METRICS_THREADS "2"

struct metrics_server;

/* ERR_UNAVAILABLE: cannot listen. */
int metrics_start(struct app *app, struct metrics_server **ret, struct err *e);
void metrics_stop(struct metrics_server *m); /* the bus must still be there; NULL is fine */

#endif
