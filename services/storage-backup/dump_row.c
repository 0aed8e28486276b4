#include "dump_row.h"

#include "job.h"

#include "base/fault.h"
#include "base/log.h"
#include "store/params.h"

int dump_row_begin(struct pg_conn *c, const char *id, struct err *e)
{
	static const char sql_dead[] =
		"UPDATE platform_dumps SET status = 'failed', finished_at = now(),"
		" error = 'It was cut off, and begun anew.' WHERE status = 'running'";
	static const char sql[] = "INSERT INTO platform_dumps (id) VALUES ($1)";
	static const char sql_old[] = "DELETE FROM platform_dumps WHERE status = 'failed'"
				      " AND finished_at < now() - interval '30 days'";

	if (pg_query(c, sql_dead, NULL, 0, NULL, e) < 0 ||
	    pg_query(c, sql_old, NULL, 0, NULL, e) < 0)
		return -1;
	return pg_query(c, sql, &id, 1, NULL, e);
}

int dump_row_done(struct pg_conn *c, const char *id, const struct dump_totals *t,
                  long long bytes_stored, struct err *e)
{
	static const char sql[] =
		"UPDATE platform_dumps SET status = 'done', rows = $2, bytes = $3,"
		" bytes_stored = $4, error = NULL, finished_at = now() WHERE id = $1";
	struct params p = { 0 };

	params_text(&p, id);
	params_int(&p, t->rows);
	params_int(&p, t->bytes);
	params_int(&p, bytes_stored);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

int dump_row_failed(struct pg_conn *c, const char *id, const char *text, struct err *e)
{
	static const char sql[] = "UPDATE platform_dumps SET status = 'failed', error = $2,"
				  " finished_at = now() WHERE id = $1 AND status = 'running'";
	static const char sql_soon[] = "UPDATE platform_dump_plan"
				       " SET next_at = least(next_at, now() + interval '1 hour')";

	if (pg_query(c, sql, (const char *[]){ id, text }, 2, NULL, e) < 0)
		return -1;
	return pg_query(c, sql_soon, NULL, 0, NULL, e);
}

int dump_row_forget(struct pg_conn *c, const char *id, struct err *e)
{
	static const char sql[] = "DELETE FROM platform_dumps WHERE id = $1";

	return pg_query(c, sql, &id, 1, NULL, e);
}

/* By an hour on the safe side: a dump's moment is later than its id's. */
int erased_forget(struct app *app, const char *oldest_dump, struct err *e)
{
	static const char sql[] =
		"SELECT user_id, mark FROM erased_users WHERE stored_at IS NOT NULL"
		" AND erased_at < to_timestamp(left($1, 15), 'YYYYMMDD\"T\"HH24MISS')::timestamp"
		"  AT TIME ZONE 'UTC' - interval '1 hour' LIMIT 1000";
	static const char sql_gone[] = "DELETE FROM erased_users WHERE user_id = $1";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql, &oldest_dump, 1, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		const char *user_id = pg_text(res, i, "user_id");

		if (dump_unmark_erased(app->engine, pg_text(res, i, "mark"), e) < 0 ||
		    pg_query(c, sql_gone, &user_id, 1, NULL, e) < 0)
			return -1;
	}
	return 0;
}

int dump_plan(struct pg_conn *c, const struct app *app, int *ret, struct err *e)
{
	static const char sql[] =
		"UPDATE platform_dump_plan SET next_at = now()"
		"  + make_interval(hours => $1::int) * (0.95 + 0.1 * random())"
		" WHERE next_at <= now() OR (EXISTS (SELECT 1 FROM backup_targets t WHERE "
		"t.created_at >"
		"   (SELECT max(created_at) FROM platform_dumps WHERE status = 'done'))"
		"  AND NOT EXISTS (SELECT 1 FROM platform_dumps"
		"   WHERE created_at > now() - interval '1 hour'))";
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct job j = { .work = JOB_DUMP };
	struct params p = { 0 };
	bool is_new = false;

	params_int(&p, app->dump_hours);
	if (pg_begin(c, &tx, e) < 0 || pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	if (pg_affected(res) == 0)
		return 0;
	snprintf(j.user_id, UUID_SIZE, "%s", JOB_PLATFORM);
	random_hex(16, j.trace_id);
	if (job_add(c, &j, JOB_SCHEDULE, &is_new, e) < 0)
		return -1;
	*ret += is_new;
	return pg_commit(&tx, e);
}

int dump_alert(struct pg_conn *c, const struct app *app, struct err *e)
{
	/* Twice its period, and an hour, is too long. */
	static const char sql[] =
		"WITH judged AS (SELECT CASE"
		"  WHEN coalesce((SELECT max(created_at) FROM platform_dumps WHERE status = "
		"'done'),"
		"   p.created_at) < now() - interval '1 hour' - 2 * make_interval(hours => $1::int)"
		"   THEN 'overdue'"
		"  WHEN (SELECT status FROM platform_dumps WHERE status <> 'running'"
		"   ORDER BY created_at DESC LIMIT 1) = 'failed' THEN 'failed' ELSE '' END AS now"
		"  FROM platform_dump_plan p)"
		" UPDATE platform_dump_plan SET problem = judged.now FROM judged"
		" WHERE problem <> judged.now RETURNING problem";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };
	const char *problem;

	params_int(&p, app->dump_hours);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	problem = pg_text(res, 0, "problem");
	if (problem[0])
		log_error("the platform's dumps are not as they should be", "problem", problem);
	else
		log_info("the platform's dumps are as they should be again");
	return 0;
}

int dump_alert_check(struct pg_conn *c, struct err *e)
{
	static const char sql[] = "SELECT problem FROM platform_dump_plan";
	OWN(pg_result) PGresult *res = NULL;
	const char *problem;

	if (pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	problem = PQntuples(res) ? pg_text(res, 0, "problem") : "";
	return problem[0] ? err_set(e, ERR_UNAVAILABLE, "the platform's dump is %s", problem) : 0;
}
