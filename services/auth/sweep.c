#include "sweep.h"

#include "attempt.h"
#include "mail/courier.h"
#include "revoked.h"
#include "session.h"
#include "store/once.h"

#include "base/log.h"

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)
#define BATCH    500 /* rows a statement, so that each is short */

static const char sql_over[] =
	"SELECT id, user_id FROM sessions WHERE ended_at IS NULL AND (expires_at <= now()"
	"  OR last_used_at < now() - interval '" TEXT(REFRESH_S) " s') LIMIT " TEXT(BATCH);

/* Each removes at most BATCH rows. */
static const char *const sql_remove[] = {
	"DELETE FROM refresh_tokens WHERE hash IN (SELECT hash FROM refresh_tokens"
	" WHERE expires_at < now() LIMIT " TEXT(BATCH) ")",

	"DELETE FROM sessions WHERE id IN (SELECT id FROM sessions"
	" WHERE ended_at < now() - interval '" TEXT(SWEEP_SESSIONS_DAYS) " days'"
									 " LIMIT " TEXT(BATCH) ")",

	"DELETE FROM ended_sessions WHERE session_id IN (SELECT session_id FROM ended_sessions"
	" WHERE ended_at < now() - interval '1 hour' AND in_redis_at IS NOT NULL"
	" AND told_at IS NOT NULL LIMIT " TEXT(BATCH) ")",

	"DELETE FROM mail_outbox WHERE id IN (SELECT id FROM mail_outbox WHERE state <> 'waiting'"
	" AND ended_at < now() - interval '" TEXT(MAIL_KEEP_DAYS) " days' LIMIT " TEXT(BATCH) ")",

	"DELETE FROM email_tokens WHERE hash IN (SELECT hash FROM email_tokens"
	" WHERE expires_at < now() LIMIT " TEXT(BATCH) ")",

	"DELETE FROM email_changes WHERE user_id IN (SELECT user_id FROM email_changes"
	" WHERE expires_at < now() LIMIT " TEXT(BATCH) ")",

	"DELETE FROM sign_in_failures WHERE (account, source) IN (SELECT account, source"
	" FROM sign_in_failures WHERE last_at < now() - interval '" TEXT(
		ATTEMPT_KEEP_S) " s'"
				" LIMIT " TEXT(BATCH) ")",
};

static int end_one(struct app *app, struct pg_conn *c, const char *user_id, const char *session_id,
                   struct err *e)
{
	const struct bus_ctx nobody = { 0 };
	const struct session_ending what = {
		&nobody, user_id, session_id, END_EXPIRED, AUDIT_SESSION_EXPIRED, NULL
	};
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (pg_begin(c, &tx, e) < 0 || session_end(app, c, &what, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}

static int end_over(struct app *app, struct pg_conn *c, struct err *e)
{
	int count = BATCH;

	while (count == BATCH) {
		OWN(pg_result) PGresult *res = NULL;

		if (pg_query(c, sql_over, NULL, 0, &res, e) < 0)
			return -1;
		count = PQntuples(res);
		for (int i = 0; i < count; i++)
			if (end_one(app, c, pg_text(res, i, "user_id"), pg_text(res, i, "id"), e) <
			    0)
				return -1;
		if (count > 0)
			ticker_wake(app->keeper);
	}
	return 0;
}

static int remove_old(struct pg_conn *c, const char *sql, struct err *e)
{
	long long count = BATCH;

	while (count == BATCH) {
		OWN(pg_result) PGresult *res = NULL;

		if (pg_query(c, sql, NULL, 0, &res, e) < 0)
			return -1;
		count = pg_affected(res);
	}
	return 0;
}

void sweep_work(void *ctx)
{
	struct app *app = ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;
	int r = pg_take(app->db, &c, &e);

	if (r == 0)
		r = end_over(app, c, &e);
	for (size_t i = 0; r == 0 && i < COUNT(sql_remove); i++)
		r = remove_old(c, sql_remove[i], &e);
	if (r == 0)
		r = once_purge(c, ONCE_AUTH, &e);
	if (r < 0)
		log_warn("old rows are not removed yet, trying again", "error", e.msg);
}
