#ifndef KEEPER_H
#define KEEPER_H

#include "app.h"

/*
 * Keeps house, on a thread of its own: asks every KEEPER_PING_MS whether the engine is there, and
 * every KEEPER_SWEEP_MS removes what belongs to no instance: containers with this platform's label,
 * directories in DATA_DIR, and what is too old to be of use in the database. Several processes may
 * do so; one at a time sweeps.
 */
#define KEEPER_PING_MS   2000
#define KEEPER_SWEEP_MS  10000
#define KEEPER_DIR_AGE_S 60 /* a directory younger than this may be somebody's in the making */

struct keeper;

int keeper_start(struct app *app, struct keeper **ret, struct err *e);
void keeper_stop(struct keeper *k); /* NULL is fine */

/* The engine as it was last asked. Any thread; waits for nothing. */
int keeper_engine(struct keeper *k, struct err *e);

#endif
