#include "target.h"

#include "store/params.h"

int target_learn(struct pg_conn *c, const struct app *app, const char *instance_id,
                 const char *user_id, struct err *e)
{
	static const char sql[] =
		"INSERT INTO backup_targets (instance_id, user_id, next_full_at,"
		"  next_incremental_at, next_drill_at) VALUES ($1, $2,"
		"  now() + interval '60 s' + random() * interval '300 s',"
		"  now() + make_interval(hours => $3::int),"
		"  now() + make_interval(hours => $4::int) * (0.5 + 0.5 * random()))"
		" ON CONFLICT (instance_id) DO UPDATE SET seen_at = now(), is_live = true"
		" WHERE backup_targets.user_id = excluded.user_id";
	struct params p = { 0 };

	params_text(&p, instance_id);
	params_text(&p, user_id);
	params_int(&p, app->incremental_hours);
	params_int(&p, app->drill_hours);
	return pg_query(c, sql, p.values, p.count, NULL, e);
}

static int known(struct pg_conn *c, const char *user_id, const char *instance_id, bool is_live,
                 bool *ret, struct err *e)
{
	static const char sql[] = "SELECT 1 FROM backup_targets WHERE instance_id = $1"
				  " AND user_id = $2 AND (is_live OR NOT $3::bool)";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, (const char *[]){ instance_id, user_id, is_live ? "t" : "f" }, 3, &res,
	             e) < 0)
		return -1;
	*ret = PQntuples(res) > 0;
	return 0;
}

int target_check(struct app *app, const struct bus_ctx *ctx, const char *instance_id, bool is_live,
                 struct err *e)
{
	struct instance_owned_ref in = { .instance_id = instance_id, .user_id = ctx->user_id };
	struct instance_state out = { 0 };
	struct bus_ctx asked = *ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(arena) struct arena a;
	bool is_known;

	arena_init(&a, BUS_ARENA_LIMIT);
	if (pg_take(app->db, &c, e) < 0 ||
	    known(c, ctx->user_id, instance_id, is_live, &is_known, e) < 0)
		return -1;
	if (is_known)
		return 0;
	pg_give(TAKE(c));
	asked.user_id[0] = '\0'; /* this service asks, on nobody's behalf */
	if (bus_call(app->bus, SUBJ_INSTANCE_STATE, &asked, &in, &a, &out, e) < 0)
		return -1;
	if (strcmp(out.instance->desired, "deleted") == 0)
		return err_set(e, ERR_NOT_FOUND, "no assistant '%s'", instance_id);
	if (pg_take(app->db, &c, e) < 0)
		return -1;
	return target_learn(c, app, instance_id, ctx->user_id, e);
}
