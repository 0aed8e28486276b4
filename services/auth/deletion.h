#ifndef AUTH_DELETION_H
#define AUTH_DELETION_H

#include "app.h"

/*
 * Deleting an account, to its end. Marking it (deletion_begin()) ends all its sessions and keys and
 * leaves a row in account_deletions, in one transaction; from then on it happens by itself, in any
 * auth process, by leases:
 *
 *	grace  ACCOUNT_DELETION_GRACE_S pass, in which the person may sign in and restore the account
 *	       (deletion_undo()); with none this step is left out
 *	purge  each service of purge.def removes what it has of the user; asked until nothing remains
 *	erase  the rows of the user go, all in one transaction
 *
 * Each step may be done twice. A process that dies leaves a lease that runs out after
 * DELETION_LEASE_S. Fault points: delete_user.marked, .leased, .purged, .advanced, .erasing, .erased.
 */
#define DELETION_PERIOD_MS  1000
#define DELETION_LEASE_S    15 /* two at once do no harm; none for longer would */
#define DELETION_BACK_OFF_S 30 /* at most, between tries */

/* *ret_at: until when it can be restored, in the arena; NULL: not at all. One that is being deleted
 * already is fine. ERR_REAUTH; ERR_UNAUTHENTICATED when there is no such account. */
int deletion_begin(struct call *call, const char **ret_at, struct err *e);

/* The caller's account stays. ERR_CONFLICT: it was not to be deleted. */
int deletion_undo(struct call *call, struct user_view *out, struct err *e);

/* The worker's turn: all that is due. */
void deletion_work(void *app);

#endif
