#ifndef AUTH_SWEEP_H
#define AUTH_SWEEP_H

#include "app.h"

#define SWEEP_PERIOD_MS     300000
#define SWEEP_SESSIONS_DAYS 30 /* an ended session can be looked at this long */

/* Ends sessions whose time is over; removes rows that nobody asks for any more. Any number of
 * processes may do it at once. */
void sweep_work(void *app);

#endif
