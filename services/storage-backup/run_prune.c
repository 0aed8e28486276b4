#include "run.h"

#include "mirror_row.h"

#include "base/fault.h"
#include "dump/dump.h"
#include "store/once.h"
#include "store/params.h"

/*
 * The end of backups. What is past its time goes, but never the newest good one of an assistant that
 * is there, nor what a job or restore still needs. A manifest goes before its row: a crash
 * between leaves a row, whose next turn finds the manifest gone, which is fine. Then what no manifest
 * names any more is cleared in two phases (engine_prune()).
 */
#define BATCH_MAX "64"

static int expired(struct run *r, PGresult **ret, struct err *e)
{
	static const char sql[] =
		"SELECT b.id FROM backups b WHERE b.user_id = $1 AND b.expires_at < now()"
		" AND NOT EXISTS (SELECT 1 FROM backup_jobs j"
		"  WHERE j.backup_id = b.id AND j.finished_at IS NULL)"
		" AND NOT EXISTS (SELECT 1 FROM restores s"
		"  WHERE s.backup_id = b.id AND s.finished_at IS NULL)"
		" AND NOT (b.status = 'done' AND NOT EXISTS (SELECT 1 FROM backups n"
		"   WHERE n.instance_id = b.instance_id AND n.status = 'done'"
		"    AND (n.created_at, n.id) > (b.created_at, b.id))"
		"  AND EXISTS (SELECT 1 FROM backup_targets t"
		"   WHERE t.instance_id = b.instance_id AND t.is_live))"
		" ORDER BY b.created_at LIMIT " BATCH_MAX;
	OWN(pg_conn) struct pg_conn *c = NULL;
	const char *user_id = r->job.user_id;

	if (pg_take(r->app->db, &c, e) < 0)
		return -1;
	return pg_query(c, sql, &user_id, 1, ret, e);
}

static int remove_one(struct run *r, const char *id, struct err *e)
{
	static const char sql[] = "DELETE FROM backups WHERE id = $1 AND user_id = $2";
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (engine_delete(r->app->engine, r->job.user_id, id, e) < 0)
		return -1;
	fault_point("prune.deleted");
	if (pg_take(r->app->db, &c, e) < 0)
		return -1;
	return pg_query(c, sql, (const char *[]){ id, r->job.user_id }, 2, NULL, e);
}

static int expire(struct run *r, struct err *e)
{
	int count;

	do {
		OWN(pg_result) PGresult *res = NULL;

		if (expired(r, &res, e) < 0)
			return -1;
		count = PQntuples(res);
		for (int i = 0; i < count; i++) {
			if (!run_go_on(r))
				return err_set(e, ERR_CONFLICT, "the work was taken away");
			if (remove_one(r, pg_text(res, i, "id"), e) < 0)
				return -1;
		}
	} while (count > 0);
	return 0;
}

int run_prune(struct run *r, struct err *e)
{
	static const char sql[] =
		"INSERT INTO backup_users (user_id, next_prune_at, pruned_at, bytes_live,"
		"  bytes_condemned) VALUES ($1, now() + interval '1 day', now(), $2, $3)"
		" ON CONFLICT (user_id) DO UPDATE SET next_prune_at = excluded.next_prune_at,"
		"  pruned_at = excluded.pruned_at, bytes_live = excluded.bytes_live,"
		"  bytes_condemned = excluded.bytes_condemned";
	static const char sql_gone[] =
		"DELETE FROM backup_targets t WHERE user_id = $1 AND NOT is_live"
		" AND NOT EXISTS (SELECT 1 FROM backups b WHERE b.instance_id = t.instance_id)";
	const struct engine_watch watch = run_watch(r);
	struct engine_pruned done = { 0 };
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct params p = { 0 };

	if (run_step(r, "expiring", e) < 0 || expire(r, e) < 0 || run_step(r, "clearing", e) < 0 ||
	    engine_prune(r->app->engine, r->job.user_id, ENGINE_GRACE_S, &watch, &done, e) < 0 ||
	    mirror_sweep(r->app, r->job.user_id, e) < 0)
		return -1;
	fault_point("prune.cleared");
	params_text(&p, r->job.user_id);
	params_int(&p, done.bytes_live);
	params_int(&p, done.bytes_condemned);
	if (pg_take(r->app->db, &c, e) < 0 || pg_query(c, sql, p.values, p.count, NULL, e) < 0 ||
	    pg_query(c, sql_gone, p.values, 1, NULL, e) < 0)
		return -1;
	pg_give(TAKE(c));
	return run_end(r, RUN_DONE, NULL, e);
}

/* Before anything goes: no dump of the platform that holds the account brings it back. */
static int mark_erased(struct run *r, struct err *e)
{
	static const char sql[] = "INSERT INTO erased_users (user_id) VALUES ($1)"
				  " ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id"
				  " RETURNING mark";
	static const char sql_stored[] =
		"UPDATE erased_users SET stored_at = now() WHERE user_id = $1";
	const char *user_id = r->job.user_id;
	OWN(pg_result) PGresult *res = NULL;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(r->app->db, &c, e) < 0 || pg_query(c, sql, &user_id, 1, &res, e) < 0 ||
	    dump_mark_erased(r->app->engine, pg_text(res, 0, "mark"), user_id, e) < 0)
		return -1;
	/* A crash here: the mark is written again, under the same name. */
	fault_point("erase.marked");
	return pg_query(c, sql_stored, &user_id, 1, NULL, e);
}

/* The account is deleted: all of it goes, in the store first. Nothing else of the person is under
 * way (job_claim()), nor begins. */
int run_erase(struct run *r, struct err *e)
{
	static const char *const sqls[] = {
		"DELETE FROM backup_jobs WHERE user_id = $1 AND work <> 'erase'",
		"DELETE FROM restores WHERE user_id = $1",
		"DELETE FROM backups WHERE user_id = $1",
		"DELETE FROM backup_targets WHERE user_id = $1",
		"DELETE FROM backup_users WHERE user_id = $1",
		"DELETE FROM mirrors WHERE user_id = $1",
	};
	static const char sql_done[] = "DELETE FROM backup_jobs WHERE id = $1 AND lease_owner = $2";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	const char *user_id = r->job.user_id;

	if (run_step(r, "erasing", e) < 0 || mark_erased(r, e) < 0 ||
	    engine_erase_user(r->app->engine, user_id, e) < 0)
		return -1;
	/* A crash here: the rows tell of what is gone; it is erased again. */
	fault_point("erase.erased");
	if (pg_take(r->app->db, &c, e) < 0 || pg_begin(c, &tx, e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(sqls); i++)
		if (pg_query(c, sqls[i], &user_id, 1, NULL, e) < 0)
			return -1;
	if (once_forget(c, ONCE_BACKUP, user_id, e) < 0 ||
	    pg_query(c, sql_done, (const char *[]){ r->job.id, r->job.owner }, 2, NULL, e) < 0)
		return -1;
	return pg_commit(&tx, e);
}
