#ifndef GATEWAY_METRICS_PROM_H
#define GATEWAY_METRICS_PROM_H

#include "base/err.h"

#include <cjson/cJSON.h>

/*
 * The suite's figures in Prometheus' text format (0.0.4): from what daemons answer to $SRV.STATS, their
 * rows of base/metrics.def and their calls. Answers of services that are not ours are left out, and so is
 * what no table of ours names: nothing that came over the bus is copied as text but an id. Pure.
 */
extern const char *const prom_daemons[]; /* NULL-terminated */

/* Which of prom_daemons a STATS document is of; -1: none. */
int prom_daemon(const cJSON *stats);

/* stats: an array of STATS documents. The caller frees *ret (free(), OWN(mem)). */
int prom_text(const cJSON *stats, char **ret, struct err *e);

#endif
