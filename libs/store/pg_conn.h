#ifndef STORE_PG_CONN_H
#define STORE_PG_CONN_H

#include "store/pg.h"

/* What pg.c, pg_query.c and migrate.c share; no one else includes it. */

/* How long the answer to a statement is waited for: the server ends it at PG_STATEMENT_MS, so one
 * that says nothing past this is frozen or cut off, and its connection is dropped. */
#define PG_ANSWER_MS (PG_STATEMENT_MS + 1000)

#define PG_PREPARED_SLOTS 256 /* a power of two */
#define PG_PREPARED_MAX   192 /* beyond these a statement runs unprepared */

struct pg_conn {
	struct pg_pool *pool;
	PGconn *pg; /* NULL: to be opened at the next take */

	/* Statements that this connection has prepared, by the address of their SQL. One in slot i
	 * is named "s<i>". */
	const char *prepared[PG_PREPARED_SLOTS];
	size_t prepared_count;

	bool is_stale; /* must not be used again: closed when given back */
	char constraint[64];
};

#define PG_RETRY_AFTER_S 1 /* what a client is told while the database is away */

void pg_conn_drop(struct pg_conn *c); /* closes what is open; forgets what was prepared */
bool pg_conn_in_tx(const struct pg_conn *c);

/* Any number of statements in one text, without parameters; waits up to timeout_ms. */
int pg_script(struct pg_conn *c, const char *sql, int timeout_ms, struct err *e);

#endif
