#ifndef LOOK_H
#define LOOK_H

#include "engine/internal.h"

/* The entries of a manifest one by one, as people see them. Large: on the heap. */
struct looker {
	struct stored_manifest *m;
	struct engine_entry entry; /* the current one; its views are the two below */
	char path[RECORD_PATH_MAX + 1], target[RECORD_PATH_MAX + 1];
};

/* *ret_is_end: there is none any more. */
int looker_next(struct looker *l, bool *ret_is_end, struct err *e);

#endif
