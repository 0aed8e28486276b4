#include "alert.h"

#include "tell.h"

#include "base/log.h"
#include "store/params.h"

static const struct {
	const char *problem, *text;
} texts[] = {
	{ "damaged", "The newest backup is damaged. A new full one is made." },
	{ "failed", "The last backup failed." },
	{ "unstartable", "The assistant does not start from its backup." },
	{ "overdue", "There has been no good backup for too long." },
	{ "unproven", "No backup has been proven by a restore drill for too long." },
};

static const char *text_of(const char *problem)
{
	for (size_t i = 0; i < COUNT(texts); i++)
		if (strcmp(texts[i].problem, problem) == 0)
			return texts[i].text;
	return "";
}

int alert_look(struct pg_conn *c, const struct app *app, struct err *e)
{
	/* Twice its period, and an hour, is too long. Of a time that is still to come, by a clock that was
	 * wrong once, nothing is known. */
	static const char sql[] =
		"WITH seen AS (SELECT t.instance_id AS id, t.created_at,"
		"  (SELECT status FROM backups b WHERE b.instance_id = t.instance_id"
		"   AND b.status IN ('done', 'failed', 'damaged')"
		"   ORDER BY b.created_at > now(), b.created_at DESC, b.id DESC LIMIT 1) AS last,"
		"  (SELECT max(created_at) FROM backups b WHERE b.instance_id = t.instance_id"
		"   AND b.status = 'done' AND created_at <= now()) AS good,"
		"  (SELECT max(proven_at) FROM backups b WHERE b.instance_id = t.instance_id"
		"   AND b.status = 'done' AND proven_at <= now()) AS proven,"
		"  (SELECT trial_error FROM backups b WHERE b.instance_id = t.instance_id"
		"   AND b.trial_at IS NOT NULL ORDER BY b.trial_at DESC LIMIT 1) AS trial"
		"  FROM backup_targets t WHERE t.is_live),"
		" judged AS (SELECT id, CASE WHEN last = 'damaged' THEN 'damaged'"
		"  WHEN last = 'failed' THEN 'failed'"
		"  WHEN trial IS NOT NULL THEN 'unstartable'"
		"  WHEN coalesce(good, created_at) < now() - interval '1 hour'"
		"   - 2 * make_interval(hours => $1::int) THEN 'overdue'"
		"  WHEN coalesce(proven, created_at) < now() - interval '1 hour'"
		"   - 2 * make_interval(hours => $2::int) THEN 'unproven' ELSE '' END AS now"
		"  FROM seen)"
		" UPDATE backup_targets SET problem = judged.now FROM judged"
		" WHERE instance_id = judged.id AND problem <> judged.now"
		" RETURNING instance_id, user_id, problem";
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_int(&p, app->incremental_hours);
	params_int(&p, app->drill_hours);
	if (pg_begin(c, &tx, e) < 0 || pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	for (int i = 0; i < PQntuples(res); i++) {
		const char *id = pg_text(res, i, "instance_id");
		const char *problem = pg_text(res, i, "problem");

		if (!problem[0]) {
			log_info("backups are as they should be again", "instance_id", id);
			continue;
		}
		log_error("backups are not as they should be", "instance_id", id, "user_id",
		          pg_text(res, i, "user_id"), "problem", problem);
		if (tell_alert(c, id, problem, text_of(problem), e) < 0)
			return -1;
	}
	return pg_commit(&tx, e);
}
