#ifndef STEP_H
#define STEP_H

#include "app.h"
#include "lease_store.h"

/*
 * One instance, whose lease this process has, brought as far as it can be brought now. May take as
 * long as a container takes to stop. Any thread, one call an instance at a time.
 */

/* Asked before what takes long is begun; false: not now. */
typedef bool step_may(void *ctx);

struct step_slow {
	step_may *begin;
	void (*end)(void *ctx);
	void *ctx;
};

/* What is left to do when it returns. */
enum step_end {
	STEP_RELEASED, /* nothing: the row is written, its lease given back or lost */
	STEP_SEEN,     /* nothing new: *ret is to be written back */
};

enum step_end step_instance(struct app *app, struct instance *row, const struct step_slow *slow,
                            struct lease_seen *ret);

#endif
