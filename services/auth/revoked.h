#ifndef AUTH_REVOKED_H
#define AUTH_REVOKED_H

#include "app.h"

/*
 * Ended sessions whose access tokens are still good by themselves. PostgreSQL has the truth; Redis is
 * where gateways look at each request, so it must never say less than PostgreSQL:
 *
 *	zaki:revoked:<session id>  is there: the session has ended
 *	zaki:auth:ready            is not there: Redis does not know all; ask auth (session_check)
 *
 * How a session ends (session_end()), and what a crash leaves at each point:
 *
 * 1. revoked_mark() sets the key for REVOKED_MARK_S. A crash here: a session that has not ended is
 *    refused for these seconds, then goes on.
 * 2. The transaction that ends it commits, with a row in ended_sessions. A crash here: the key of
 *    step 1 still refuses it, and the row is found by the next keeper, of any auth process, within
 *    KEEPER_PERIOD_MS; where none lives, the ready key is gone after READY_S, sooner than step 1's.
 * 3. The keeper sets the key for as long as access tokens live, publishes the event, and notes both
 *    in the row. A crash here: it is done again; both can be repeated.
 *
 * Redis restarted or flushed: the ready key went with the others. The keeper writes all that ended
 * within an access token's life, and only then the ready key, and that only if what it wrote is
 * still there. A Redis that starts again from a file may bring an old ready key along: the keeper
 * knows the server's run by its run_id, and takes the key away when that changes. Where Redis cannot
 * be reached in step 1, the keeper of another auth process, or the lapse of the ready key, covers.
 */
#define KEEPER_PERIOD_MS 1000
#define REVOKED_MARK_S   10
#define REVOKED_S        (TOKEN_ACCESS_S + 60) /* an access token's life, and clocks that differ */
#define READY_S          4

/* Step 1; what fails is made up for by step 3. */
void revoked_mark(struct redis *r, const char *session_id);

/* The keeper's turn: step 3 for all that wait for it, and the ready key. */
void revoked_keep(void *app);

#endif
