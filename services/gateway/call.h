#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "exchange.h"

/* One request that has a route, as one call on the bus; answers it, or fails with *e. */
int call_forward(struct exchange *x, struct err *e);

#endif
