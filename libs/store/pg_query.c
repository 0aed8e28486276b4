#include "store/pg_conn.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>

/* SQLSTATEs, or their classes (two characters), that mean more than "it failed" (PostgreSQL 15,
 * appendix A). The first that fits counts. */
/* clang-format off */
static const struct {
	const char *state;
	enum err_code code;
	bool is_stale; /* what the connection has prepared is no good any more */
} states[] = {
	{ "23505", ERR_CONFLICT,    false }, /* unique_violation */
	{ "40",    ERR_UNAVAILABLE, false }, /* serialization failure, deadlock */
	{ "55P03", ERR_UNAVAILABLE, false }, /* lock_not_available */
	{ "57014", ERR_TIMEOUT,     false }, /* statement_timeout, or cancelled by an operator */
	{ "57",    ERR_UNAVAILABLE, true },  /* shutting down, starting up */
	{ "08",    ERR_UNAVAILABLE, true },  /* connection exception */
	{ "53",    ERR_UNAVAILABLE, false }, /* out of disk, memory, connections */
	{ "25P03", ERR_UNAVAILABLE, true },  /* idle_in_transaction_session_timeout */
	{ "25006", ERR_UNAVAILABLE, true },  /* read-only: a standby after a switch-over */
	{ "26000", ERR_UNAVAILABLE, true },  /* prepared statement is gone */
	{ "0A000", ERR_UNAVAILABLE, true },  /* cached plan must not change result type */
};
/* clang-format on */

static int lost(struct pg_conn *c, struct err *e)
{
	c->is_stale = true;
	return err_busy(e, ERR_UNAVAILABLE, PG_RETRY_AFTER_S, "postgres: connection lost");
}

/* Only states whose text names things of the schema or the server are told with it: others quote
 * the value that was refused. */
static int from_result(struct pg_conn *c, const PGresult *res, struct err *e)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *name = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	enum err_code code = ERR_INTERNAL;
	bool is_told;

	if (!state)
		return lost(c, e);
	snprintf(c->constraint, sizeof(c->constraint), "%s", name ? name : "");
	for (size_t i = 0; i < COUNT(states); i++) {
		if (strncmp(state, states[i].state, strlen(states[i].state)) == 0) {
			code = states[i].code;
			c->is_stale |= states[i].is_stale;
			break;
		}
	}
	is_told = text && (strncmp(state, "42", 2) == 0 || strncmp(state, "57", 2) == 0 ||
	                   strncmp(state, "53", 2) == 0);
	err_set(e, code, "postgres: SQLSTATE %s %s", state, is_told ? text : c->constraint);
	if (code == ERR_UNAVAILABLE)
		e->retry_after_s = PG_RETRY_AFTER_S;
	return -1;
}

/* Waits until a result can be read without blocking. */
static int wait_answer(struct pg_conn *c, long long until_ms, struct err *e)
{
	bool is_late = false;

	for (;;) {
		int left_to_send = PQflush(c->pg);
		struct pollfd fd = { .fd = PQsocket(c->pg), .events = POLLIN };
		long long left_ms = until_ms - clock_mono_ms();

		if (left_to_send < 0)
			return lost(c, e);
		if (!PQisBusy(c->pg))
			return 0;
		if (is_late) {
			c->is_stale = true;
			return err_set(e, ERR_TIMEOUT, "postgres: no answer in time");
		}
		/* One look more: it may lie there since long, and this process have stood still. */
		is_late = left_ms <= 0;
		if (left_to_send)
			fd.events |= POLLOUT;
		if (poll(&fd, 1, is_late ? 0 : (int)left_ms) < 0 && errno != EINTR)
			return lost(c, e);
		if ((fd.revents & ~POLLOUT) && !PQconsumeInput(c->pg))
			return lost(c, e);
	}
}

static bool is_good(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/*
 * Takes in all results of what was sent; *ret is the first that failed, else the last. A connection
 * on which that did not come to its end is of no use: it is closed now, so that whatever follows on
 * it fails at once.
 */
static int collect(struct pg_conn *c, int timeout_ms, PGresult **ret, struct err *e)
{
	long long until_ms = clock_mono_ms() + fault_patience(timeout_ms);
	OWN(pg_result) PGresult *kept = NULL;

	for (;;) {
		PGresult *res;

		if (wait_answer(c, until_ms, e) < 0) {
			pg_conn_drop(c);
			return -1;
		}
		res = PQgetResult(c->pg);
		if (!res)
			break;
		if (kept && !is_good(kept)) {
			PQclear(res);
			continue;
		}
		PQclear(kept);
		kept = res;
	}
	if (!kept)
		return lost(c, e);
	if (!is_good(kept))
		return from_result(c, kept, e);
	*ret = TAKE(kept);
	return 0;
}

static int send_failed(struct pg_conn *c, struct err *e)
{
	if (!c->pg || PQstatus(c->pg) != CONNECTION_OK)
		return lost(c, e);
	c->is_stale = true;
	return err_set(e, ERR_INTERNAL, "postgres: cannot send: %.*s",
	               (int)strcspn(PQerrorMessage(c->pg), "\n"), PQerrorMessage(c->pg));
}

int pg_script(struct pg_conn *c, const char *sql, int timeout_ms, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	c->constraint[0] = '\0';
	if (!c->pg || !PQsendQuery(c->pg, sql))
		return send_failed(c, e);
	return collect(c, timeout_ms, &res, e);
}

/* The slot that holds sql or where it belongs; -1 when no further one may be kept. */
static int slot_of(const struct pg_conn *c, const char *sql)
{
	size_t i = ((uintptr_t)sql >> 4) * 0x9e3779b97f4a7c15ULL >> 56;

	_Static_assert(PG_PREPARED_SLOTS == 256, "the shift above");
	while (c->prepared[i] && c->prepared[i] != sql)
		i = (i + 1) % PG_PREPARED_SLOTS;
	return c->prepared[i] || c->prepared_count < PG_PREPARED_MAX ? (int)i : -1;
}

static int prepare(struct pg_conn *c, int slot, const char *sql, size_t param_count, char name[8],
                   struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	snprintf(name, 8, "s%d", slot);
	if (c->prepared[slot])
		return 0;
	if (!PQsendPrepare(c->pg, name, sql, (int)param_count, NULL))
		return send_failed(c, e);
	if (collect(c, PG_ANSWER_MS, &res, e) < 0)
		return -1;
	c->prepared[slot] = sql;
	c->prepared_count++;
	return 0;
}

int pg_query(struct pg_conn *c, const char *sql, const char *const *params, size_t param_count,
             PGresult **ret, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;
	char name[8];
	int slot = slot_of(c, sql), sent;

	c->constraint[0] = '\0';
	if (!c->pg)
		return lost(c, e);
	if (param_count > PG_PARAMS_MAX)
		return err_set(e, ERR_INTERNAL, "more than %d parameters", PG_PARAMS_MAX);

	if (slot < 0) {
		sent = PQsendQueryParams(c->pg, sql, (int)param_count, NULL, params, NULL, NULL, 0);
	} else {
		if (prepare(c, slot, sql, param_count, name, e) < 0)
			return -1;
		sent = PQsendQueryPrepared(c->pg, name, (int)param_count, params, NULL, NULL, 0);
	}
	if (!sent)
		return send_failed(c, e);
	if (collect(c, PG_ANSWER_MS, &res, e) < 0)
		return -1;
	if (ret)
		*ret = TAKE(res);
	return 0;
}

const char *pg_constraint(const struct pg_conn *c)
{
	return c->constraint;
}

long long pg_affected(const PGresult *res)
{
	/* PQcmdTuples() only reads its argument. */
	return strtoll(PQcmdTuples((PGresult *)res), NULL, 10);
}

int pg_begin(struct pg_conn *c, struct pg_tx *tx, struct err *e)
{
	if (pg_script(c, "BEGIN", PG_ANSWER_MS, e) < 0)
		return -1;
	tx->conn = c;
	return 0;
}

int pg_commit(struct pg_tx *tx, struct err *e)
{
	struct pg_conn *c = tx->conn;
	OWN(pg_result) PGresult *res = NULL;

	if (!c->pg || !PQsendQuery(c->pg, "COMMIT"))
		return send_failed(c, e);
	if (collect(c, PG_ANSWER_MS, &res, e) < 0)
		return -1;
	tx->conn = NULL;
	/* COMMIT of a transaction in which a statement failed is answered, in all quietness, with
	 * ROLLBACK. */
	if (strcmp(PQcmdStatus(res), "COMMIT") != 0)
		return err_set(e, ERR_INTERNAL, "postgres: the transaction had failed");
	return 0;
}

void pg_rollback(struct pg_tx *tx)
{
	struct pg_conn *c = tx->conn;
	struct err e = ERR_INIT;

	tx->conn = NULL;
	/* Where the rollback fails, closing the connection rolls back. */
	if (c && pg_conn_in_tx(c) && pg_script(c, "ROLLBACK", PG_ANSWER_MS, &e) < 0)
		pg_conn_drop(c);
}

static const char *value_of(const PGresult *res, int row, const char *column)
{
	int i = PQfnumber(res, column);

	return i < 0 || PQgetisnull(res, row, i) ? NULL : PQgetvalue(res, row, i);
}

const char *pg_text(const PGresult *res, int row, const char *column)
{
	return value_of(res, row, column);
}

int pg_int(const PGresult *res, int row, const char *column, long long *ret, struct err *e)
{
	const char *text = value_of(res, row, column);
	char *end = NULL;
	long long value;

	errno = 0;
	value = text ? strtoll(text, &end, 10) : 0;
	if (!text || errno || end == text || *end)
		return err_set(e, ERR_INTERNAL, "postgres: column %s is no number", column);
	*ret = value;
	return 0;
}

bool pg_bool(const PGresult *res, int row, const char *column)
{
	const char *text = value_of(res, row, column);

	return text && text[0] == 't';
}
