#include "damage.h"

#include "base/log.h"

void damage_note(struct run *r, const char *object)
{
	for (size_t i = 0; i < r->damaged_count; i++)
		if (strcmp(r->damaged[i], object) == 0)
			return;
	log_error("an object in the store is damaged", "object", object, "user_id", r->job.user_id);
	if (r->damaged_count < RUN_DAMAGED_MAX && strlen(object) < RUN_OBJECT_SIZE)
		snprintf(r->damaged[r->damaged_count++], RUN_OBJECT_SIZE, "%s", object);
}

struct marking {
	struct run *r;
	struct pg_conn *c;
	struct err failure;
};

static bool mark(void *ctx, const char *backup_id)
{
	static const char sql[] =
		"WITH bad AS (UPDATE backups SET status = 'damaged', error = $3"
		"  WHERE id = $1 AND user_id = $2 AND status = 'done' RETURNING instance_id),"
		" due AS (UPDATE backup_targets t SET next_full_at = least(next_full_at, now())"
		"  FROM bad WHERE t.instance_id = bad.instance_id AND t.is_live)"
		" SELECT instance_id FROM bad";
	struct marking *m = ctx;
	const struct err what = { .code = ERR_UPSTREAM };
	OWN(pg_result) PGresult *res = NULL;

	if (!run_go_on(m->r)) {
		err_set(&m->failure, ERR_CONFLICT, "the work was taken away");
		return false;
	}
	if (pg_query(m->c, sql, (const char *[]){ backup_id, m->r->job.user_id, run_text(&what) },
	             3, &res, &m->failure) < 0)
		return false;
	if (PQntuples(res) > 0)
		log_error("a backup needs what is damaged", "backup_id", backup_id, "instance_id",
		          pg_text(res, 0, "instance_id"));
	return true;
}

int damage_spread(struct run *r, struct err *e)
{
	const char *objects[RUN_DAMAGED_MAX];
	struct marking m = { .r = r };
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (!r->damaged_count)
		return 0;
	for (size_t i = 0; i < r->damaged_count; i++)
		objects[i] = r->damaged[i];
	if (pg_take(r->app->db, &c, e) < 0)
		return -1;
	m.c = c;
	if (engine_dependents(r->app->engine, r->job.user_id, objects, r->damaged_count, mark, &m,
	                      e) < 0)
		return -1;
	if (!m.failure.code)
		return 0;
	*e = m.failure;
	return -1;
}
