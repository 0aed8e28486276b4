#ifndef RECONCILE_H
#define RECONCILE_H

#include "app.h"
#include "lease_store.h"

/*
 * Makes the engine be what the table says. One thread, the scheduler, takes instances that are due
 * (their leases in the database, so that several processes can do this) and hands them to workers;
 * a worker looks, decides (decide.h), writes, acts (act.h), until there is nothing to be done now.
 * Instances that are as they should be are written back many at a time.
 *
 * Nothing but leases is remembered between looks: a process that dies leaves rows and containers
 * from which the next one goes on.
 */
#define RECONCILE_WORKERS  16
#define RECONCILE_SLOW_MAX 12 /* workers that wait for a container to stop; the others stay free */
#define RECONCILE_POLL_MS  1000

struct reconciler;

int reconcile_start(struct app *app, struct reconciler **ret, struct err *e);

/* Something is due. Any thread. */
void reconcile_wake(struct reconciler *r);

/* The engine has told of an instance; NULL: it may have told of any while nobody heard. */
void reconcile_poke(struct reconciler *r, const struct lease_poke *poke);

/* Takes on nothing more, ends what is under way, gives the leases back. NULL is fine. */
void reconcile_stop(struct reconciler *r);

#endif
