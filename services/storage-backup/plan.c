#include "plan.h"

#include "alert.h"
#include "backup.h"
#include "dump_row.h"
#include "job.h"
#include "mirror_row.h"
#include "target.h"
#include "work.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "store/once.h"
#include "store/params.h"

#define LOCK     "7310579609402703202" /* advisory: one plans at a time */
#define LEARN_MS 30000
#define BATCH    "64"
#define PAGES    10000

/* Pages of all assistants. One that is not named any more is not live. */
static int learn(struct app *app, struct err *e)
{
	static const char sql_begin[] = "SELECT now()::text AS began";
	static const char sql_end[] = "UPDATE backup_targets SET is_live = false, problem = ''"
				      " WHERE is_live AND seen_at < $1::timestamptz";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *began = NULL;
	char after[UUID_SIZE] = "";
	const char *since;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql_begin, NULL, 0, &began, e) < 0)
		return -1;
	for (int i = 0; i < PAGES; i++) {
		struct instance_all_req in = { .after = after[0] ? after : NULL };
		struct instance_all out = { 0 };
		const struct bus_ctx nobody = { 0 };
		OWN(arena) struct arena a;

		arena_init(&a, BUS_ARENA_LIMIT);
		if (bus_call(app->bus, SUBJ_INSTANCE_LIST_ALL, &nobody, &in, &a, &out, e) < 0)
			return err_wrap(e, "asking which assistants there are");
		for (size_t k = 0; k < out.items_count; k++)
			if (target_learn(c, app, out.items[k].instance_id, out.items[k].user_id,
			                 e) < 0)
				return -1;
		if (!out.next) {
			since = pg_text(began, 0, "began");
			return pg_query(c, sql_end, &since, 1, NULL, e);
		}
		snprintf(after, sizeof(after), "%s", out.next);
	}
	return err_set(e, ERR_INTERNAL, "the list of assistants has no end");
}

static int ask_backup(struct pg_conn *c, const PGresult *res, int row, struct err *e)
{
	struct job j = { .work = JOB_BACKUP };
	bool is_full = pg_bool(res, row, "is_full");

	snprintf(j.user_id, UUID_SIZE, "%s", pg_text(res, row, "user_id"));
	snprintf(j.instance_id, UUID_SIZE, "%s", pg_text(res, row, "instance_id"));
	random_hex(16, j.trace_id);
	if (backup_insert(c, j.user_id, j.instance_id, is_full ? BACKUP_FULL : BACKUP_INCREMENTAL,
	                  j.backup_id, e) < 0)
		return -1;
	return job_add(c, &j, JOB_SCHEDULE, NULL, e);
}

/* Nothing is further off than it can be: after the machine's clock was wrong, and was set back, what was put
 * off by the wrong one comes within its period, and not when that time is reached. */
static int clock_set_back(struct pg_conn *c, const struct app *app, struct err *e)
{
	static const char sql_targets[] =
		"UPDATE backup_targets SET"
		"  next_full_at = least(next_full_at, now() + make_interval(hours => $1::int)),"
		"  next_incremental_at = least(next_incremental_at,"
		"   now() + make_interval(hours => $2::int)),"
		"  next_drill_at = least(next_drill_at, now() + make_interval(hours => $3::int))"
		" WHERE next_full_at > now() + 1.2 * make_interval(hours => $1::int)"
		"  OR next_incremental_at > now() + 1.2 * make_interval(hours => $2::int)"
		"  OR next_drill_at > now() + 1.2 * make_interval(hours => $3::int)";
	static const char sql_dump[] =
		"UPDATE platform_dump_plan SET next_at = now() + make_interval(hours => $1::int)"
		" WHERE next_at > now() + 1.2 * make_interval(hours => $1::int)";
	static const char *const sqls[] = {
		"UPDATE backup_users SET next_prune_at = now() + interval '1 day'"
		" WHERE next_prune_at > now() + interval '2 days'",
		/* Above the longest that work rests: JOB_REST_S. */
		"UPDATE backup_jobs SET next_try_at = now() WHERE finished_at IS NULL"
		" AND next_try_at > now() + interval '7 hours'",
	};
	struct params targets = { 0 }, dump = { 0 };

	params_int(&targets, app->full_hours);
	params_int(&targets, app->incremental_hours);
	params_int(&targets, app->drill_hours);
	params_int(&dump, app->dump_hours);
	if (pg_query(c, sql_targets, targets.values, targets.count, NULL, e) < 0 ||
	    pg_query(c, sql_dump, dump.values, dump.count, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(sqls); i++)
		if (pg_query(c, sqls[i], NULL, 0, NULL, e) < 0)
			return -1;
	return 0;
}

/* A full one stands for the incremental that would be due with it. Ten percent of jitter. */
static int due_backups(struct pg_conn *c, const struct app *app, int *ret, struct err *e)
{
	static const char sql[] =
		"WITH due AS (SELECT instance_id AS id, next_full_at <= now() AS is_full"
		"  FROM backup_targets t WHERE is_live"
		"   AND (next_full_at <= now() OR next_incremental_at <= now())"
		"   AND NOT EXISTS (SELECT 1 FROM backup_jobs j WHERE j.scope = t.instance_id"
		"    AND j.work = 'backup' AND j.finished_at IS NULL)"
		"  ORDER BY least(next_full_at, next_incremental_at) LIMIT " BATCH
		"  FOR UPDATE SKIP LOCKED)"
		" UPDATE backup_targets SET"
		"  next_full_at = CASE WHEN is_full THEN now()"
		"   + make_interval(hours => $1::int) * (0.95 + 0.1 * random())"
		"   ELSE next_full_at END,"
		"  next_incremental_at = now()"
		"   + make_interval(hours => $2::int) * (0.95 + 0.1 * random())"
		" FROM due WHERE instance_id = due.id RETURNING instance_id, user_id, is_full";
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_int(&p, app->full_hours);
	params_int(&p, app->incremental_hours);
	if (pg_begin(c, &tx, e) < 0 || pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++)
		if (ask_backup(c, res, i, e) < 0)
			return -1;
	*ret += PQntuples(res);
	/* A crash before the commit: nothing was asked, and all is due still. */
	fault_point("plan.backups");
	return pg_commit(&tx, e);
}

static int due_drills(struct pg_conn *c, const struct app *app, int *ret, struct err *e)
{
	static const char sql[] =
		"WITH due AS (SELECT t.instance_id AS id, (SELECT b.id FROM backups b"
		"   WHERE b.instance_id = t.instance_id AND b.status = 'done'"
		"   ORDER BY b.created_at DESC LIMIT 1) AS backup_id"
		"  FROM backup_targets t WHERE is_live AND next_drill_at <= now()"
		"   AND EXISTS (SELECT 1 FROM backups b WHERE b.instance_id = t.instance_id"
		"    AND b.status = 'done')"
		"  ORDER BY next_drill_at LIMIT " BATCH " FOR UPDATE SKIP LOCKED)"
		" UPDATE backup_targets SET next_drill_at = now()"
		"  + make_interval(hours => $1::int) * (0.9 + 0.2 * random())"
		" FROM due WHERE instance_id = due.id AND due.backup_id IS NOT NULL"
		" RETURNING instance_id, user_id, due.backup_id";
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_int(&p, app->drill_hours);
	if (pg_begin(c, &tx, e) < 0 || pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		struct job j = { .work = JOB_DRILL };

		snprintf(j.user_id, UUID_SIZE, "%s", pg_text(res, i, "user_id"));
		snprintf(j.instance_id, UUID_SIZE, "%s", pg_text(res, i, "instance_id"));
		snprintf(j.backup_id, UUID_SIZE, "%s", pg_text(res, i, "backup_id"));
		random_hex(16, j.trace_id);
		if (job_add(c, &j, JOB_UPKEEP, NULL, e) < 0)
			return -1;
	}
	*ret += PQntuples(res);
	return pg_commit(&tx, e);
}

/* Whoever has backups, once a day. */
static int due_prunes(struct pg_conn *c, int *ret, struct err *e)
{
	static const char sql[] =
		"SELECT DISTINCT b.user_id FROM backups b LEFT JOIN backup_users u USING (user_id)"
		" WHERE (u.next_prune_at IS NULL AND b.created_at < now() - interval '1 day')"
		"  OR u.next_prune_at <= now() LIMIT " BATCH;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		struct job j = { .work = JOB_PRUNE };
		bool is_new;

		snprintf(j.user_id, UUID_SIZE, "%s", pg_text(res, i, "user_id"));
		random_hex(16, j.trace_id);
		if (job_add(c, &j, JOB_UPKEEP, &is_new, e) < 0)
			return -1;
		*ret += is_new;
	}
	return 0;
}

static int sweep(struct pg_conn *c, struct err *e)
{
	static const char *const sqls[] = {
		"DELETE FROM backup_jobs WHERE finished_at < now() - interval '7 days'",
		"DELETE FROM restores WHERE finished_at < now() - interval '90 days'",
		/* A checkpoint that a restore was killed in: the next try made another. */
		"UPDATE backups b SET status = 'failed', error = 'It was broken off.',"
		" finished_at = now(), expires_at = now() + interval '7 days'"
		" WHERE status IN ('pending', 'running') AND NOT EXISTS (SELECT 1"
		"  FROM backup_jobs j WHERE j.finished_at IS NULL AND (j.backup_id = b.id"
		"   OR (j.work = 'restore' AND j.instance_id = b.instance_id)))",
	};

	for (size_t i = 0; i < COUNT(sqls); i++)
		if (pg_query(c, sqls[i], NULL, 0, NULL, e) < 0)
			return -1;
	return once_purge(c, ONCE_BACKUP, e);
}

static int plan(struct app *app, int *ret_asked, struct err *e)
{
	static const char sql_lock[] = "SELECT pg_try_advisory_lock(" LOCK ") AS got";
	static const char sql_unlock[] = "SELECT pg_advisory_unlock(" LOCK ")";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *lock = NULL;
	int r;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql_lock, NULL, 0, &lock, e) < 0)
		return -1;
	if (!pg_bool(lock, 0, "got"))
		return 0;
	r = clock_set_back(c, app, e) < 0 || due_backups(c, app, ret_asked, e) < 0 ||
	                    due_drills(c, app, ret_asked, e) < 0 ||
	                    due_prunes(c, ret_asked, e) < 0 ||
	                    dump_plan(c, app, ret_asked, e) < 0 || sweep(c, e) < 0 ||
	                    mirror_plan(c, app, ret_asked, e) < 0 || alert_look(c, app, e) < 0 ||
	                    dump_alert(c, app, e) < 0
	            ? -1
	            : 0;
	/* A connection that broke has let go of it by itself. */
	if (pg_query(c, sql_unlock, NULL, 0, NULL, r == 0 ? e : &(struct err){ 0 }) < 0)
		return -1;
	return r;
}

/* For Prometheus; each process says it, whoever of them plans. */
static int measure(struct app *app, struct err *e)
{
	static const char sql[] =
		"SELECT (SELECT count(*) FROM backup_targets WHERE is_live AND problem <> '') AS n,"
		" (SELECT count(*) FROM platform_dump_plan WHERE problem <> '') AS dump,"
		" (SELECT coalesce(floor(extract(epoch FROM max(created_at))), 0)::bigint"
		"  FROM platform_dumps WHERE status = 'done') AS good";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	long long wrong = 0, dump = 0, good = 0;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql, NULL, 0, &res, e) < 0 ||
	    pg_int(res, 0, "n", &wrong, e) < 0 || pg_int(res, 0, "dump", &dump, e) < 0 ||
	    pg_int(res, 0, "good", &good, e) < 0)
		return -1;
	metric_set(METRIC_BACKUPS_WRONG, wrong);
	metric_set(METRIC_DUMP_WRONG, dump);
	metric_set(METRIC_DUMP_LAST_GOOD, good);
	return 0;
}

void plan_work(void *ctx)
{
	struct app *app = ctx;
	struct err e = ERR_INIT;
	int asked = 0;

	/* Asked for when a minute's half is over; before that, the events' sake is no hurry. What lies
	 * mirrored of a deleted assistant is to go at once. */
	if (app->storage_mirror || clock_mono_ms() - app->learnt_ms >= LEARN_MS) {
		if (learn(app, &e) == 0)
			app->learnt_ms = clock_mono_ms();
		else
			log_warn("it is not known which assistants there are", "error", e.msg);
	}
	e = ERR_INIT;
	if (plan(app, &asked, &e) < 0 || measure(app, &e) < 0 || mirror_measure(app, &e) < 0)
		log_warn("the schedule waits", "code", err_name(e.code), "error", e.msg);
	if (asked)
		work_wake(app->work);
	outbox_wake(app->outbox);
}

int plan_check(struct app *app, struct err *e)
{
	static const char sql[] =
		"SELECT count(*) AS n FROM backup_targets WHERE is_live AND problem <> ''";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	long long count = 0;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql, NULL, 0, &res, e) < 0 ||
	    pg_int(res, 0, "n", &count, e) < 0)
		return -1;
	return count == 0 ? dump_alert_check(c, e)
	                  : err_set(e, ERR_UNAVAILABLE,
	                            "backups of %lld assistants are overdue, failed, unproven or "
	                            "not started from",
	                            count);
}
