#ifndef PLAN_H
#define PLAN_H

#include "app.h"

/*
 * The schedule: who is to be backed up, what is due, what is wrong. One process at a time does it
 * (an advisory lock), every PLAN_MS. What was missed during an outage is due at once, and once only:
 * the next time is reckoned from now. A ticker's work.
 */
#define PLAN_MS 5000

void plan_work(void *app);

/* Is what is kept as it should be? A health check: it names how many assistants have a problem. */
int plan_check(struct app *app, struct err *e);

#endif
