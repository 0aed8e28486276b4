#ifndef AUTH_USER_H
#define AUTH_USER_H

#include "bus/bus.h"
#include "store/pg.h"

/* A row of users as its owner sees it. SELECT and RETURNING lists name USER_COLUMNS. */
#define USER_COLUMNS                                                               \
	"id, email, name, email_verified, subscription_tier,"                      \
	" to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS created_at," \
	" to_char(updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS updated_at," \
	" to_char(deletes_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS deletes_at"

/* Strings are copied into the arena. */
int user_from_row(const PGresult *res, int row, struct arena *a, struct user_view *ret,
                  struct err *e);

/* The account that the caller acts for. ERR_UNAUTHENTICATED: nobody, or one that is gone or being
 * deleted. */
int user_load(struct pg_conn *c, const char *user_id, struct arena *a, struct user_view *ret,
              struct err *e);

/* ERR_UNAUTHENTICATED unless the call has an actor. */
int user_actor(const struct call *c, struct err *e);

#endif
