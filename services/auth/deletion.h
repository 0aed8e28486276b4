#ifndef AUTH_DELETION_H
#define AUTH_DELETION_H

#include "app.h"

/*
 * Deleting an account, to its end. Marking it (deletion_begin()) ends all its sessions and leaves a
 * row in account_deletions, in one transaction; from then on it happens by itself, in any auth
 * process, by leases:
 *
 *	purge  each service of purge.def removes what it has of the user; asked until nothing remains
 *	erase  the rows of the user go, all in one transaction
 *
 * Each step may be done twice. A process that dies leaves a lease that runs out after
 * DELETION_LEASE_S. Fault points: delete_user.marked, .leased, .purged, .advanced, .erasing, .erased.
 */
#define DELETION_PERIOD_MS  1000
#define DELETION_LEASE_S    15 /* two at once do no harm; none for longer would */
#define DELETION_BACK_OFF_S 30 /* at most, between tries */

/* ERR_UNAUTHENTICATED when there is no such account. One that is being deleted already is fine. */
int deletion_begin(struct call *call, struct err *e);

/* The worker's turn: all that is due. */
void deletion_work(void *app);

#endif
