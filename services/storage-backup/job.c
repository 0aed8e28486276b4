#include "job.h"

#include "store/params.h"

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)
#define SPAN     "interval '" TEXT(JOB_LEASE_S) " s'"

/* Whom one works on at a time: $1 work, $2 user, $3 instance. */
#define SCOPE                                                           \
	"CASE WHEN $1 = 'mirror' THEN md5('mirror ' || $3::uuid)::uuid" \
	" ELSE coalesce($3::uuid, $2::uuid) END"

static const char *const works[JOB_WORK_COUNT] = {
	[JOB_BACKUP] = "backup",   [JOB_VERIFY] = "verify", [JOB_DRILL] = "drill",
	[JOB_RESTORE] = "restore", [JOB_PRUNE] = "prune",   [JOB_ERASE] = "erase",
	[JOB_DUMP] = "dump",       [JOB_MIRROR] = "mirror",
};

const char *job_work_name(enum job_work w)
{
	return works[w];
}

bool job_work_from(const char *name, enum job_work *ret)
{
	for (size_t i = 0; i < COUNT(works); i++) {
		if (strcmp(works[i], name) == 0) {
			*ret = (enum job_work)i;
			return true;
		}
	}
	return false;
}

int job_add(struct pg_conn *c, struct job *j, enum job_priority priority, bool *ret_new,
            struct err *e)
{
	static const char sql[] =
		"INSERT INTO backup_jobs (work, scope, user_id, instance_id, id, backup_id,"
		"  priority, trace_id) VALUES ($1, " SCOPE ", $2, $3, $4, $5, $6, $7)"
		" ON CONFLICT DO NOTHING";
	static const char sql_there[] = "SELECT id FROM backup_jobs WHERE scope = " SCOPE
					" AND work = $1 AND finished_at IS NULL";
	OWN(pg_result) PGresult *res = NULL;
	OWN(pg_result) PGresult *there = NULL;
	struct params p = { 0 };

	if (!j->id[0])
		uuid_make(j->id);
	params_text(&p, works[j->work]);
	params_text(&p, j->user_id);
	params_text_or_null(&p, j->instance_id);
	params_text(&p, j->id);
	params_text_or_null(&p, j->backup_id);
	params_int(&p, priority);
	params_text(&p, j->trace_id);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	if (ret_new)
		*ret_new = pg_affected(res) > 0;
	if (pg_affected(res) > 0)
		return 0;
	if (pg_query(c, sql_there, p.values, 3, &there, e) < 0)
		return -1;
	if (PQntuples(there) == 0)
		return err_set(e, ERR_UNAVAILABLE, "the work that was under way has just ended");
	snprintf(j->id, sizeof(j->id), "%s", pg_text(there, 0, "id"));
	return 0;
}

/*
 * One works on a scope at a time. While a person is to be erased nothing else of theirs is begun,
 * and the erasing begins when nothing else is under way any more.
 */
int job_claim(struct pg_conn *c, const char *owner, enum job_lane lane, struct job *ret,
              bool *ret_got, struct err *e)
{
	static const char sql[] =
		"UPDATE backup_jobs SET lease_owner = $1, lease_until = now() + " SPAN
		", status = 'running', attempts = attempts + 1 WHERE id = ("
		" SELECT d.id FROM backup_jobs d WHERE d.finished_at IS NULL"
		"  AND d.next_try_at <= now() AND (d.work = 'mirror') = $2::bool"
		"  AND (d.lease_owner IS NULL OR d.lease_until < now())"
		"  AND NOT EXISTS (SELECT 1 FROM backup_jobs o WHERE o.id <> d.id"
		"   AND o.lease_owner IS NOT NULL AND (o.scope = d.scope"
		"    OR (d.work = 'erase' AND o.user_id = d.user_id)))"
		"  AND (d.work = 'erase' OR NOT EXISTS (SELECT 1 FROM backup_jobs o"
		"   WHERE o.user_id = d.user_id AND o.work = 'erase' AND o.finished_at IS NULL))"
		" ORDER BY d.priority, d.next_try_at, d.created_at LIMIT 1"
		" FOR UPDATE OF d SKIP LOCKED)"
		" RETURNING id, work, user_id, instance_id, backup_id, step, attempts, deaths,"
		" trace_id";
	const char *args[] = { owner, lane == JOB_LANE_MIRRORS ? "t" : "f" };
	OWN(pg_result) PGresult *res = NULL;
	struct job j = { 0 };

	*ret_got = false;
	if (pg_query(c, sql, args, COUNT(args), &res, e) < 0) {
		/* Two processes took two jobs of one scope at one time: the next look decides. */
		if (e->code != ERR_CONFLICT)
			return -1;
		*e = ERR_INIT;
		return 0;
	}
	if (PQntuples(res) == 0)
		return 0;
	snprintf(j.id, sizeof(j.id), "%s", pg_text(res, 0, "id"));
	snprintf(j.user_id, sizeof(j.user_id), "%s", pg_text(res, 0, "user_id"));
	if (pg_text(res, 0, "instance_id"))
		snprintf(j.instance_id, UUID_SIZE, "%s", pg_text(res, 0, "instance_id"));
	if (pg_text(res, 0, "backup_id"))
		snprintf(j.backup_id, UUID_SIZE, "%s", pg_text(res, 0, "backup_id"));
	if (pg_text(res, 0, "step"))
		snprintf(j.step, sizeof(j.step), "%s", pg_text(res, 0, "step"));
	snprintf(j.trace_id, sizeof(j.trace_id), "%s", pg_text(res, 0, "trace_id"));
	snprintf(j.owner, sizeof(j.owner), "%s", owner);
	if (!job_work_from(pg_text(res, 0, "work"), &j.work))
		return err_set(e, ERR_INTERNAL, "backup_jobs.work has an unknown value");
	if (pg_int(res, 0, "attempts", &j.attempts, e) < 0 ||
	    pg_int(res, 0, "deaths", &j.deaths, e) < 0)
		return -1;
	*ret = j;
	*ret_got = true;
	return 0;
}

int job_beat(struct pg_conn *c, const char *owners, struct err *e)
{
	static const char sql[] = "UPDATE backup_jobs SET lease_until = now() + " SPAN
				  " WHERE lease_owner = ANY ($1::text[]) AND finished_at IS NULL";

	return pg_query(c, sql, &owners, 1, NULL, e);
}

int job_void_dead(struct pg_conn *c, bool *ret_any, struct err *e)
{
	/* Of the same role, which is all that this one may see of others. */
	static const char sql[] =
		"UPDATE backup_jobs SET lease_owner = NULL, lease_until = NULL, status = 'pending'"
		" WHERE lease_owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_stat_activity"
		"  WHERE usename = current_user AND application_name = '" JOB_APP
		"' || split_part(lease_owner, '.', 1))";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	*ret_any = pg_affected(res) > 0;
	return 0;
}

static int write_own(struct pg_conn *c, const char *sql, const struct params *p, struct err *e)
{
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, p->values, p->count, &res, e) < 0)
		return -1;
	return pg_affected(res) == 1 ? 0 : err_set(e, ERR_CONFLICT, "the work is another's now");
}

static void begin(struct params *p, const struct job *j)
{
	params_text(p, j->id);
	params_text(p, j->owner);
}

int job_begin(struct pg_conn *c, const struct job *j, struct err *e)
{
	static const char sql[] = "UPDATE backup_jobs SET deaths = deaths + 1"
				  " WHERE id = $1 AND lease_owner = $2";
	struct params p = { 0 };

	begin(&p, j);
	return write_own(c, sql, &p, e);
}

int job_step(struct pg_conn *c, const struct job *j, const char *step, int percent, struct err *e)
{
	static const char sql[] = "UPDATE backup_jobs SET step = $3, percent = $4"
				  " WHERE id = $1 AND lease_owner = $2";
	struct params p = { 0 };

	begin(&p, j);
	params_text(&p, step);
	params_int(&p, percent);
	return write_own(c, sql, &p, e);
}

int job_done(struct pg_conn *c, const struct job *j, struct err *e)
{
	static const char sql[] =
		"UPDATE backup_jobs SET status = 'done', percent = 100, error = NULL,"
		" finished_at = now(), lease_owner = NULL, lease_until = NULL"
		" WHERE id = $1 AND lease_owner = $2";
	struct params p = { 0 };

	begin(&p, j);
	return write_own(c, sql, &p, e);
}

int job_failed(struct pg_conn *c, const struct job *j, const char *text, struct err *e)
{
	static const char sql[] = "UPDATE backup_jobs SET status = 'failed', error = $3,"
				  " finished_at = now(), lease_owner = NULL, lease_until = NULL"
				  " WHERE id = $1 AND lease_owner = $2";
	struct params p = { 0 };

	begin(&p, j);
	params_text(&p, text);
	return write_own(c, sql, &p, e);
}

int job_again(struct pg_conn *c, const struct job *j, const char *text, long long delay_s,
              struct err *e)
{
	static const char sql[] =
		"UPDATE backup_jobs SET status = 'pending', error = $3, deaths = 0,"
		" next_try_at = now() + make_interval(secs => $4::int),"
		" lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_owner = $2";
	struct params p = { 0 };

	begin(&p, j);
	params_text(&p, text);
	params_int(&p, delay_s);
	return write_own(c, sql, &p, e);
}

int job_put_down(struct pg_conn *c, const struct job *j, struct err *e)
{
	static const char sql[] =
		"UPDATE backup_jobs SET status = 'pending', attempts = greatest(attempts - 1, 0),"
		" deaths = 0, lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_owner "
		"= $2";
	struct params p = { 0 };

	begin(&p, j);
	return write_own(c, sql, &p, e);
}
