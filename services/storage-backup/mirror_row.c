#include "mirror_row.h"

#include "work.h"

#include "base/log.h"
#include "base/metric.h"
#include "engine/mirror.h"
#include "store/params.h"

#define LATE  "interval '1 hour'" /* of a mirror that waits: then it is said */
#define BATCH "64"

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)
#define RULES    TEXT(MIRROR_RULES)

/* The newest good backup of t's, where it is newer than what m holds. A held one that has become damaged
 * is not gone back from: what lies mirrored of it was read when it was good. */
/* clang-format off */
#define NEWEST                                                                                     \
	"(SELECT b.id FROM backups b WHERE b.instance_id = t.instance_id"                          \
	"  AND b.user_id = t.user_id AND b.status = 'done' AND b.created_at >"                     \
	"   coalesce((SELECT h.created_at FROM backups h WHERE h.id = m.backup_id"                 \
	"    AND m.rules = " RULES "), '-infinity') ORDER BY b.created_at DESC, b.id DESC LIMIT 1)"
#define IS_ERASED(user)                                                                            \
	"EXISTS (SELECT 1 FROM backup_jobs j WHERE j.user_id = " user " AND j.work = 'erase'"      \
	"  AND j.finished_at IS NULL)"
/* clang-format on */

static void copy_id(char to[UUID_SIZE], const PGresult *res, const char *column)
{
	const char *text = pg_text(res, 0, column);

	snprintf(to, UUID_SIZE, "%s", text ? text : "");
}

int mirror_load(struct pg_conn *c, const struct app *app, const struct job *j,
                struct mirror_state *ret, struct err *e)
{
	static const char sql[] =
		"SELECT t.is_live AS is_live, " NEWEST " AS newest_id,"
		" m.instance_id AS row_id, coalesce(m.has_seat, false) AS has_seat,"
		" CASE WHEN m.rules = " RULES " THEN m.backup_id END AS held_id, m.next_id,"
		" " IS_ERASED(
			"$2") " AS is_erased"
			      " FROM (SELECT $1::uuid AS id) me"
			      " LEFT JOIN backup_targets t ON t.instance_id = me.id AND t.user_id "
			      "= $2 AND "
			      "is_live"
			      " LEFT JOIN mirrors m ON m.instance_id = me.id AND m.user_id = $2";
	const char *args[] = { j->instance_id, j->user_id };
	OWN(pg_result) PGresult *res = NULL;
	struct mirror_state s = { .want = MIRROR_LEAVE };

	if (pg_query(c, sql, args, COUNT(args), &res, e) < 0)
		return -1;
	copy_id(s.newest_id, res, "newest_id");
	copy_id(s.row.held_id, res, "held_id");
	copy_id(s.row.next_id, res, "next_id");
	s.row.is_there = pg_text(res, 0, "row_id") != NULL;
	s.row.has_seat = pg_bool(res, 0, "has_seat");
	if (pg_bool(res, 0, "is_erased"))
		s.want = MIRROR_LEAVE;
	else if (!app->storage_mirror || !pg_text(res, 0, "is_live"))
		s.want = s.row.is_there ? MIRROR_REMOVE : MIRROR_LEAVE;
	else if (s.newest_id[0] || s.row.next_id[0])
		s.want = MIRROR_FORWARD;
	*ret = s;
	return 0;
}

int mirror_take(struct pg_conn *c, const struct job *j, struct err *e)
{
	static const char sql[] =
		"INSERT INTO mirrors (instance_id, user_id, has_seat) SELECT $1, $2::uuid,"
		" NOT EXISTS (SELECT 1 FROM mirrors WHERE user_id = $2::uuid AND has_seat)"
		" ON CONFLICT DO NOTHING";
	const char *args[] = { j->instance_id, j->user_id };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, args, COUNT(args), &res, e) < 0)
		return -1;
	/* Another of the person's took the seat at this moment: there is a next time. */
	return pg_affected(res) ? 0 : err_set(e, ERR_UNAVAILABLE, "the seat is being taken");
}

static int write_row(struct pg_conn *c, const char *sql, const struct job *j, const char *id,
                     struct err *e)
{
	const char *args[] = { j->instance_id, j->user_id, id };

	return pg_query(c, sql, args, id ? 3 : 2, NULL, e);
}

int mirror_begun(struct pg_conn *c, const struct job *j, const char *backup_id, struct err *e)
{
	static const char sql[] =
		"UPDATE mirrors SET next_id = $3 WHERE instance_id = $1 AND user_id = $2";

	return write_row(c, sql, j, backup_id, e);
}

int mirror_held(struct pg_conn *c, const struct job *j, const char *backup_id, struct err *e)
{
	static const char sql[] =
		"UPDATE mirrors SET backup_id = $3, next_id = NULL, rules = " RULES ","
		" held_at = now() WHERE instance_id = $1 AND user_id = $2";

	return write_row(c, sql, j, backup_id, e);
}

int mirror_lost(struct pg_conn *c, const struct job *j, struct err *e)
{
	static const char sql[] = "UPDATE mirrors SET backup_id = NULL, next_id = NULL"
				  " WHERE instance_id = $1 AND user_id = $2";

	return write_row(c, sql, j, NULL, e);
}

int mirror_gone(struct pg_conn *c, const struct job *j, struct err *e)
{
	static const char sql[] = "DELETE FROM mirrors WHERE instance_id = $1 AND user_id = $2";

	return write_row(c, sql, j, NULL, e);
}

static int ask(struct pg_conn *c, const char *user_id, const char *instance_id, bool *ret_new,
               struct err *e)
{
	struct job j = { .work = JOB_MIRROR };

	snprintf(j.user_id, UUID_SIZE, "%s", user_id);
	snprintf(j.instance_id, UUID_SIZE, "%s", instance_id);
	random_hex(16, j.trace_id);
	return job_add(c, &j, JOB_UPKEEP, ret_new, e);
}

/* The assistant that has been there longest first: it gets the seat. */
int mirror_plan(struct pg_conn *c, const struct app *app, int *ret, struct err *e)
{
	static const char sql[] =
		"WITH due AS ("
		" SELECT t.instance_id, t.user_id, t.created_at FROM backup_targets t"
		"  LEFT JOIN mirrors m ON m.instance_id = t.instance_id"
		"  WHERE $1::bool AND t.is_live AND (m.next_id IS NOT NULL"
		"   OR " NEWEST " IS NOT NULL)"
		" UNION ALL SELECT m.instance_id, m.user_id, m.created_at FROM mirrors m"
		"  WHERE NOT $1::bool OR NOT EXISTS (SELECT 1 FROM backup_targets t"
		"   WHERE t.instance_id = m.instance_id AND t.user_id = m.user_id AND t.is_live))"
		" SELECT instance_id, user_id FROM due d WHERE NOT EXISTS (SELECT 1"
		"  FROM backup_jobs j WHERE j.instance_id = d.instance_id AND j.work = 'mirror'"
		"   AND j.finished_at IS NULL) AND NOT " IS_ERASED(
			"d.user_id") " ORDER BY created_at LIMIT " BATCH;
	const char *is_on = app->storage_mirror ? "t" : "f";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, &is_on, 1, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		bool is_new;

		if (ask(c, pg_text(res, i, "user_id"), pg_text(res, i, "instance_id"), &is_new, e) <
		    0)
			return -1;
		*ret += is_new;
	}
	return mirror_look(c, e);
}

void mirror_soon(struct app *app, struct pg_conn *c, const struct job *of)
{
	struct err ignored = ERR_INIT; /* the schedule asks in a moment */

	if (app->storage_mirror && ask(c, of->user_id, of->instance_id, NULL, &ignored) == 0)
		work_wake(app->work);
}

/* ---- what no row tells of ----------------------------------------------------------------------- */

struct sweep {
	struct app *app;
	const char *user_id;
	struct err failure;
};

/* In the seat: a row of nobody's, under the person's own id, unless somebody has it. */
static bool on_found(void *ctx, const char *instance_id)
{
	static const char sql[] =
		"INSERT INTO mirrors (instance_id, user_id, has_seat) VALUES ($1, $2, $3)"
		" ON CONFLICT DO NOTHING";
	struct sweep *s = ctx;
	const char *args[] = { instance_id ? instance_id : s->user_id, s->user_id,
		               instance_id ? "f" : "t" };
	OWN(pg_conn) struct pg_conn *c = NULL;

	return pg_take(s->app->db, &c, &s->failure) == 0 &&
	       pg_query(c, sql, args, COUNT(args), NULL, &s->failure) == 0;
}

int mirror_sweep(struct app *app, const char *user_id, struct err *e)
{
	struct sweep s = { app, user_id, ERR_INIT };

	if (mirror_find(app->engine, user_id, on_found, &s, e) < 0)
		return -1;
	if (s.failure.code == ERR_NONE)
		return 0;
	*e = s.failure;
	return -1;
}

/* ---- how they are --------------------------------------------------------------------------------- */

int mirror_look(struct pg_conn *c, struct err *e)
{
	static const char sql[] =
		"WITH judged AS (SELECT m.instance_id AS id, CASE WHEN EXISTS (SELECT 1"
		"  FROM backup_jobs j WHERE j.instance_id = m.instance_id AND j.work = 'mirror'"
		"   AND j.finished_at IS NULL AND j.created_at < now() - " LATE ")"
		"  THEN 'behind' ELSE '' END AS now FROM mirrors m)"
		" UPDATE mirrors SET problem = judged.now FROM judged"
		" WHERE instance_id = judged.id AND problem <> judged.now"
		" RETURNING instance_id, user_id, problem";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		const char *id = pg_text(res, i, "instance_id");

		if (pg_text(res, i, "problem")[0])
			log_error("a mirror is behind its assistant's newest backup, or is not "
			          "removed",
			          "instance_id", id, "user_id", pg_text(res, i, "user_id"));
		else
			log_info("a mirror is as it should be again", "instance_id", id);
	}
	return 0;
}

int mirror_measure(struct app *app, struct err *e)
{
	static const char sql[] =
		"SELECT (SELECT count(*) FROM mirrors WHERE problem <> '') AS n,"
		" (SELECT coalesce(floor(extract(epoch FROM now() - min(created_at))), 0)::bigint"
		"  FROM backup_jobs WHERE work = 'mirror' AND finished_at IS NULL) AS lag";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	long long wrong = 0, lag_s = 0;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql, NULL, 0, &res, e) < 0 ||
	    pg_int(res, 0, "n", &wrong, e) < 0 || pg_int(res, 0, "lag", &lag_s, e) < 0)
		return -1;
	metric_set(METRIC_MIRRORS_WRONG, wrong);
	metric_set(METRIC_MIRROR_LAG, lag_s);
	return 0;
}

int mirror_check(struct app *app, struct err *e)
{
	static const char sql[] = "SELECT count(*) AS n FROM mirrors WHERE problem <> ''";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	long long count = 0;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql, NULL, 0, &res, e) < 0 ||
	    pg_int(res, 0, "n", &count, e) < 0)
		return -1;
	return count ? err_set(e, ERR_UNAVAILABLE, "mirrors of %lld assistants are behind", count)
	             : 0;
}
