#ifndef HOLD_H
#define HOLD_H

#include "instance.h"

/*
 * A hold keeps an instance stopped, whatever is wanted of it, so that somebody else may change its
 * files. It has an id and an end: whoever holds asks again before that, and where they die it runs
 * out and the instance is started again where that is wanted. The reconciler sees it as
 * instance.is_held.
 */
struct hold_state {
	bool is_stopped; /* seen so by the reconciler since the hold began */
	enum instance_status status;
	enum instance_desired desired;
};

/* Takes, or prolongs, for `seconds` from now. ERR_NOT_FOUND; ERR_CONFLICT: another holds it, or it
 * is being deleted or upgraded. */
int hold_take(struct pg_conn *c, const struct instance_hold_req *in, struct hold_state *ret,
              struct err *e);

/* One that has run out or is another's is left as it is. */
int hold_release(struct pg_conn *c, const struct instance_hold_req *in, struct err *e);

#endif
