#ifndef SWEEP_H
#define SWEEP_H

#include "app.h"

/* Containers of this platform that are no instance's, or a second one of an instance: removed, with
 * an audit line and an event each. Rows are written before containers are made, so that what has no
 * row has no future. */
int sweep_containers(struct app *app, struct err *e);

/* Directories in DATA_DIR of no instance, older than age_s. */
int sweep_directories(struct app *app, long long age_s, struct err *e);

/* Finished operations and replies to Idempotency-Keys that are of no use any more. */
int sweep_database(struct app *app, struct err *e);

#endif
