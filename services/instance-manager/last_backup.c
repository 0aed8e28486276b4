#include "last_backup.h"

#include "checkpoint.h"

#include "base/clock.h"
#include "base/log.h"

/* Most are made within a second. The longer one takes, the less often it is asked for. */
#define AGAIN_FIRST_MS 100
#define AGAIN_MOST_MS  3000

/* When the deletion was asked for; *ret_ms 0: nobody did. */
static int asked_at(struct app *app, const struct instance *i, long long *ret_ms, struct err *e)
{
	static const char sql[] = "SELECT " INSTANCE_MS(
		"max(started_at)") " AS ms FROM operations"
				   " WHERE instance_id = $1 AND kind = 'delete'"
				   "  AND finished_at IS NULL";
	OWN(pg_conn) struct pg_conn *db = NULL;
	OWN(pg_result) PGresult *res = NULL;
	const char *id = i->id;

	*ret_ms = 0;
	if (pg_take(app->db, &db, e) < 0 || pg_query(db, sql, &id, 1, &res, e) < 0)
		return -1;
	return pg_text(res, 0, "ms") ? pg_int(res, 0, "ms", ret_ms, e) : 0;
}

static long long again_ms(long long age_ms)
{
	long long ms = age_ms / 4;

	return ms < AGAIN_FIRST_MS ? AGAIN_FIRST_MS : ms > AGAIN_MOST_MS ? AGAIN_MOST_MS : ms;
}

int last_backup(struct app *app, const struct instance *i, long long *ret_again_ms, struct err *e)
{
	char status[CHECKPOINT_STATUS_SIZE] = "";
	long long since_ms = 0, age_ms;
	bool is_there = false, is_late;

	*ret_again_ms = 0;
	/* One that never ran has nothing that it could miss. */
	if (!i->was_ready)
		return 0;
	if (files_exists(app->files, i->user_id, i->id, &is_there, e) < 0 ||
	    asked_at(app, i, &since_ms, e) < 0)
		return -1;
	if (!is_there || !since_ms)
		return 0;
	age_ms = clock_now_ms() - since_ms;
	is_late = age_ms > LAST_BACKUP_WAIT_S * 1000LL;
	if (checkpoint_ask(app, i, "delete", since_ms, status, e) < 0) {
		if (!is_late)
			return -1;
		log_error("deleted without a last backup: there is no storage-backup",
		          "instance_id", i->id, "user_id", i->user_id, "error", e->msg);
		*e = ERR_INIT;
		return 0;
	}
	if (checkpoint_is_failed(status))
		log_error("deleted without a last backup: it failed", "instance_id", i->id,
		          "user_id", i->user_id);
	else if (strcmp(status, "done") != 0 && !is_late)
		*ret_again_ms = again_ms(age_ms);
	return 0;
}
