#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "exchange.h"

#define CALL_SIGN_IN_SHARE 4 /* one part in so many of the threads may be signing people in */

/* One request that has a route, as one call on the bus; answers it, or fails with *e. */
int call_forward(struct exchange *x, struct err *e);

#endif
