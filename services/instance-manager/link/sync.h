#ifndef LINK_SYNC_H
#define LINK_SYNC_H

#include "link/news.h"

/*
 * Asks a gateway for all that is kept of it, and makes the tables say the same: after each new link
 * and wherever something was missed. On a thread of the news desk.
 */
#define SYNC_TIMEOUT_MS 5000 /* of each request */

int sync_run(const struct news_of *of, struct err *e);

/* One request of this go (pace.h). The caller owns *ret. ERR_TIMEOUT also when no time is left. */
int sync_ask(const struct news_of *of, const char *method, const cJSON *params, cJSON **ret,
             struct err *e);

/* A text's place in the tables: the trace id of what begins by itself. */
void sync_trace(char ret[INSTANCE_TRACE_SIZE]);

#endif
