#ifndef GATEWAY_METRICS_COLLECT_H
#define GATEWAY_METRICS_COLLECT_H

#include "bus/bus.h"

#include <cjson/cJSON.h>

/* What every daemon answers to $SRV.STATS now, as an array; waits COLLECT_MS at most, and no longer than
 * COLLECT_MORE_MS once each of ours has answered. The caller owns *ret. ERR_UNAVAILABLE: the bus is away. */
#define COLLECT_MS      1000
#define COLLECT_MORE_MS 100 /* for further processes of a daemon */
#define COLLECT_MAX     256 /* answers */

int collect(struct bus *b, cJSON **ret, struct err *e);

#endif
