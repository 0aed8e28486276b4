#ifndef GATEWAY_EXPORT_H
#define GATEWAY_EXPORT_H

#include "exchange.h"

/*
 * Answers with all that the platform holds of the person, as a zip that goes out while it is made
 * (walk.h): the body comes in chunks, and ends before its last one where it could not be finished, which
 * HTTP clients tell from a whole one. Holds a thread for as long, so that there are EXPORTS_AT_ONCE.
 */
#define EXPORTS_AT_ONCE 2 /* of one gateway */
#define EXPORT_CHECK_S  2 /* how long a session that has ended may go on reading */

/* A place for one; to be given back. ERR_UNAVAILABLE: all are taken. */
int export_take(struct app *app, struct err *e);
void export_give(struct app *app);

/* The answer. What fails from here on can be told to nobody but the log. */
route_stream export_send;

#endif
