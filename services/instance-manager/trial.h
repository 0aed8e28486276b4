#ifndef TRIAL_H
#define TRIAL_H

#include "app.h"

/*
 * A start on trial: storage-backup has restored a backup into a directory of its own
 * (CONTAINER_SCRATCH_DIR) and asks whether the assistant starts from it. The row of `trials` is what
 * allows the container to be: it is there before it and goes after it. One at a time, with the memory
 * of the instance's own, without a network, and for as long as the trial is asked for again.
 *
 * A crash of whoever asks leaves the container until the row's time is over; one of this process
 * leaves it to be found by the next question. A container without a row is swept away.
 */

/* Removes trials' containers that no row allows any more, then the row whose time is over. items: all
 * of the platform's, as the engine has just listed them. */
int trial_sweep(struct app *app, const struct engine_item *items, size_t count, struct err *e);

#endif
