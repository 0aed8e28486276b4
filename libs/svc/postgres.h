#ifndef SVC_POSTGRES_H
#define SVC_POSTGRES_H

#include "store/pg.h"

/* A service's database, at its start and in its health. Any thread. */

/* Waits up to 30 s for a database that comes up after us, as on a machine that has just started.
 * One with another schema than the service's own stops the start: migrate_check()'s error. */
int postgres_wait(struct pg_pool *pool, const char *service, struct err *e);

/* Does it answer? For a svc_health. */
int postgres_check(struct pg_pool *pool, struct err *e);

#endif
