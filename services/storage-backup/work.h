#ifndef WORK_H
#define WORK_H

#include "app.h"

/* The threads that work jobs off, BACKUPS_AT_ONCE of them and one for mirrors, and one that keeps their
 * leases. */
struct work;

int work_start(struct app *app, struct work **ret, struct err *e);
void work_wake(struct work *w); /* there is something to do; any thread */
void work_stop(struct work *w); /* what runs is put down where it is; NULL is fine */

/* May jobs under way go on? Any thread. */
bool work_go_on(struct work *w);

#endif
