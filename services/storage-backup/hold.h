#ifndef HOLD_H
#define HOLD_H

#include "run.h"

/* An instance kept stopped by instance-manager while its files are swapped. The hold runs out by
 * itself HOLD_S after it was last asked for: where this process dies, the assistant starts again
 * with what is there, the old state or the new one. */
#define HOLD_S 90

/* Takes the hold and waits until the instance is seen stopped. */
int hold_begin(struct run *r, struct err *e);

/* Prolongs it in time. False: it may have run out. */
bool hold_keep(struct run *r);

/* Lets go; what is wanted of the instance counts again. */
int hold_end(struct run *r, struct err *e);

#endif
