#ifndef TRIAL_H
#define TRIAL_H

#include "run.h"

/*
 * The assistant started once from what a drill restored, by instance-manager: without a network, in a
 * container that goes as soon as it is ready or is not asked for any more (TRIAL_S). The trial has the
 * job's id, so that whoever takes the job up again ends what a process that died had begun.
 */
#define TRIAL_S 30

struct trial_result {
	bool is_tried;   /* false: the assistant is not there any more */
	long long ms;    /* until it was ready */
	char error[128]; /* "": it was */
};

/* Where instance-manager takes the files from: to be filled by the drill. */
#define TRIAL_PATH_SIZE 640
void trial_path(const struct run *r, char ret[TRIAL_PATH_SIZE]);

/* Waits until it is ready, or is known not to become so, which is no failure of this call. The
 * container may be there still. */
int trial_run(struct run *r, struct trial_result *ret, struct err *e);

/* Container and files are gone. Nothing there is fine. */
int trial_clear(struct run *r, struct err *e);

#endif
