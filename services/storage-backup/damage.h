#ifndef DAMAGE_H
#define DAMAGE_H

#include "run.h"

/*
 * Objects of the store that were found damaged during a run. Every backup that needs one is marked, so that
 * none is shown as good that cannot be restored, and a full one of its assistant is due at once.
 */

/* Keeps it in mind. Past RUN_DAMAGED_MAX they are not: what needs those is found by its own proof. */
void damage_note(struct run *r, const char *object);

/* Marks the backups that need what was noted. Safe to repeat. */
int damage_spread(struct run *r, struct err *e);

#endif
