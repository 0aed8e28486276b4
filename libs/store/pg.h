#ifndef STORE_PG_H
#define STORE_PG_H

#include "base/err.h"
#include "base/own.h"

#include <postgresql/libpq-fe.h>

/*
 * PostgreSQL: a pool of connections, statements prepared once a connection, and transactions that
 * one owns. Every statement has parameters; none is put together from text.
 *
 * A connection that broke (server restarted, network gone) is opened anew when it is next taken: a
 * daemon needs no restart. What was under way on it fails with ERR_UNAVAILABLE, and the caller's
 * caller may try again. Statements end after PG_STATEMENT_MS.
 *
 * Pool: any thread. A taken connection: the thread that took it.
 */
#define PG_STATEMENT_MS 5000 /* statement_timeout */
#define PG_CONNECT_S    3    /* connect_timeout */
#define PG_RETRY_MS     250  /* between tries while the database is away */
#define PG_TAKE_MS      2000 /* how long pg_take() waits for one that is free */
#define PG_PARAMS_MAX   32

struct pg_pool;
struct pg_conn; /* a taken connection */

/* Opens none yet: a database that is away at the start is waited for by those who ask. url: a
 * libpq URL or conninfo; application_name is set to name. ERR_INTERNAL when out of memory. */
int pg_pool_open(const char *url, const char *name, size_t size, struct pg_pool **ret,
                 struct err *e);
void pg_pool_close(struct pg_pool *p); /* all must have been given back; NULL is fine */

/* ERR_UNAVAILABLE: the database cannot be reached, or none was free within PG_TAKE_MS. */
int pg_take(struct pg_pool *p, struct pg_conn **ret, struct err *e);
void pg_give(struct pg_conn *c); /* rolls back what was left open; NULL is fine */

/*
 * Runs one statement. params: text form, NULL for SQL NULL. sql must be a constant (its address
 * names the prepared statement). The caller owns *ret (PQclear); ret may be NULL.
 * ERR_CONFLICT: a unique constraint, whose name pg_constraint() then tells; ERR_UNAVAILABLE:
 * connection lost, serialization failure or deadlock after which the transaction may be repeated;
 * ERR_TIMEOUT: statement_timeout; ERR_INTERNAL: anything else (SQLSTATE in the text, no values).
 */
int pg_query(struct pg_conn *c, const char *sql, const char *const *params, size_t param_count,
             PGresult **ret, struct err *e);

/* Name of the constraint that made the last pg_query() fail, "" if none did. */
const char *pg_constraint(const struct pg_conn *c);

/* Rows that the last statement touched. */
long long pg_affected(const PGresult *res);

/* A transaction that rolls back unless it was committed:
 *
 *	OWN(pg_tx) struct pg_tx tx = { 0 };
 *	if (pg_begin(c, &tx, e) < 0 || … || pg_commit(&tx, e) < 0) return -1;
 */
struct pg_tx {
	struct pg_conn *conn; /* NULL: none open */
};

int pg_begin(struct pg_conn *c, struct pg_tx *tx, struct err *e);
/* ERR_UNAVAILABLE after the connection broke in COMMIT: it is not known whether it took effect;
 * what callers write is repeatable for that reason. */
int pg_commit(struct pg_tx *tx, struct err *e);
void pg_rollback(struct pg_tx *tx);

/* A row's values. NULL for SQL NULL. Numbers: ERR_INTERNAL when it is none. */
const char *pg_text(const PGresult *res, int row, const char *column);
int pg_int(const PGresult *res, int row, const char *column, long long *ret, struct err *e);
bool pg_bool(const PGresult *res, int row, const char *column); /* NULL is false */

OWN_DEFINE(pg_result, PGresult *, PQclear)
OWN_DEFINE(pg_conn, struct pg_conn *, pg_give)

static inline void own_pg_tx(struct pg_tx *tx)
{
	pg_rollback(tx);
}

#endif
