#ifndef LINK_FORGOTTEN_H
#define LINK_FORGOTTEN_H

#include "base/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/*
 * Whose addresses are to be asked for anew at the next round, by name. Where more come than have place,
 * as after the engine itself was away, it is everybody's: none is dropped. Zeroed: nobody's. Pure.
 */
#define FORGOTTEN_MAX 64

struct forgotten {
	char ids[FORGOTTEN_MAX][UUID_SIZE];
	size_t count;
	bool is_all;
};

static inline bool forgotten_has(const struct forgotten *f, const char *id)
{
	for (size_t i = 0; i < f->count && !f->is_all; i++)
		if (strcmp(f->ids[i], id) == 0)
			return true;
	return f->is_all;
}

static inline void forgotten_add(struct forgotten *f, const char *id)
{
	if (forgotten_has(f, id))
		return;
	if (f->count < FORGOTTEN_MAX)
		snprintf(f->ids[f->count++], UUID_SIZE, "%s", id);
	else
		f->is_all = true;
}

#endif
