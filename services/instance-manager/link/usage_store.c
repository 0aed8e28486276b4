#include "link/usage.h"

#include "instance_store.h"
#include "outbox.h"
#include "record.h"
#include "store/params.h"

#define SUMS                                                                            \
	"sum(u.input_tokens)::bigint AS input, sum(u.output_tokens)::bigint AS output," \
	" sum(u.cache_tokens)::bigint AS cache, sum(u.total_tokens)::bigint AS total,"  \
	" sum(u.cost_micros)::bigint AS cost FROM usage_daily u"                        \
	" WHERE u.user_id = $1 AND u.instance_id = $2 AND u.day >= $3::date"
#define MONTH    "date_trunc('month', now() AT TIME ZONE 'UTC')::date"
#define ROWS_MAX "366"

/* One transaction: a day is there with all its parts; a crash leaves what was there before. */
int usage_put(struct pg_conn *c, const char *holder, const char *id, const struct usage_part *parts,
              size_t count, struct err *e)
{
	static const char sql[] =
		"INSERT INTO usage_daily AS u (instance_id, user_id, day, kind, name, input_tokens,"
		"  output_tokens, cache_tokens, total_tokens, cost_micros)"
		" SELECT $1, l.user_id, $3::date, $4, $5, $6::bigint, $7::bigint, $8::bigint, "
		"$9::bigint,"
		"  $10::bigint FROM instance_links l"
		"  WHERE l.instance_id = $1 AND l.holder = $2"
		" ON CONFLICT (instance_id, day, kind, name) DO UPDATE SET"
		"  input_tokens = EXCLUDED.input_tokens, output_tokens = EXCLUDED.output_tokens,"
		"  cache_tokens = EXCLUDED.cache_tokens, total_tokens = EXCLUDED.total_tokens,"
		"  cost_micros = EXCLUDED.cost_micros, updated_at = now()"
		/* A gateway whose files were lost counts from nothing: what was spent stays spent. */
		" WHERE EXCLUDED.total_tokens > u.total_tokens"
		"  OR EXCLUDED.cost_micros > u.cost_micros";
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (pg_begin(c, &tx, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct usage_part *p = &parts[i];
		struct params params = { 0 };

		if (!p->total && !p->cost_micros)
			continue;
		params_text(&params, id);
		params_text(&params, holder);
		params_text(&params, p->day);
		params_text(&params, p->kind);
		params_text(&params, p->name);
		params_int(&params, p->input);
		params_int(&params, p->output);
		params_int(&params, p->cache);
		params_int(&params, p->total);
		params_int(&params, p->cost_micros);
		if (pg_query(c, sql, params.values, params.count, NULL, e) < 0)
			return -1;
	}
	return pg_commit(&tx, e);
}

static int row_read(const PGresult *res, int row, struct arena *a, struct usage_row *ret,
                    struct err *e)
{
	ret->name = arena_strdup(a, pg_text(res, row, "name"));
	if (!ret->name)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (pg_int(res, row, "input", &ret->input_tokens, e) < 0 ||
	    pg_int(res, row, "output", &ret->output_tokens, e) < 0 ||
	    pg_int(res, row, "cache", &ret->cache_tokens, e) < 0 ||
	    pg_int(res, row, "total", &ret->total_tokens, e) < 0)
		return -1;
	return pg_int(res, row, "cost", &ret->cost_micros, e);
}

int usage_sums(struct pg_conn *c, const struct usage_query *q, struct arena *a,
               struct usage_row **ret, size_t *ret_count, struct err *e)
{
	static const char sql_days[] = "SELECT u.day::text AS name, " SUMS
				       " AND u.kind = 'total' AND $4 = 'total' GROUP BY u.day"
				       " ORDER BY u.day DESC LIMIT " ROWS_MAX;
	static const char sql[] = "SELECT u.name, " SUMS " AND u.kind = $4 GROUP BY u.name"
				  " ORDER BY cost DESC, total DESC, u.name LIMIT 100";
	const char *params[] = { q->user_id, q->id, q->first, q->kind };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, strcmp(q->kind, "total") == 0 ? sql_days : sql, params, COUNT(params), &res,
	             e) < 0)
		return -1;
	*ret_count = (size_t)PQntuples(res);
	*ret = arena_alloc(a, (*ret_count + 1) * sizeof(**ret));
	if (!*ret)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < *ret_count; i++)
		if (row_read(res, (int)i, a, &(*ret)[i], e) < 0)
			return -1;
	return 0;
}

int usage_limit_load(struct pg_conn *c, const char *user_id, const char *id,
                     struct usage_limit *ret, struct err *e)
{
	static const char sql[] =
		"SELECT coalesce((SELECT monthly_micros FROM spend_limits WHERE instance_id = $2"
		"  AND user_id = $1), 0) AS monthly,"
		" coalesce((SELECT paused_month = " MONTH
		" FROM spend_limits WHERE instance_id = $2"
		"  AND user_id = $1), false) AS paused,"
		" (SELECT coalesce(sum(cost_micros), 0)::bigint"
		"  FROM usage_daily WHERE user_id = $1 AND instance_id = $2 AND kind = 'total'"
		"  AND day >= " MONTH ") AS spent";
	const char *params[] = { user_id, id };
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, params, COUNT(params), &res, e) < 0)
		return -1;
	ret->paused = pg_bool(res, 0, "paused");
	if (pg_int(res, 0, "monthly", &ret->monthly_micros, e) < 0)
		return -1;
	return pg_int(res, 0, "spent", &ret->spent_micros, e);
}

int usage_limit_write(struct pg_conn *c, const char *user_id, const char *id, long long micros,
                      struct err *e)
{
	static const char sql[] =
		"INSERT INTO spend_limits (instance_id, user_id, monthly_micros)"
		" SELECT id, user_id, $3::bigint FROM instances WHERE user_id = $1 AND id = $2"
		" ON CONFLICT (instance_id) DO UPDATE SET monthly_micros = EXCLUDED.monthly_micros,"
		"  updated_at = now()";
	static const char sql_none[] = "DELETE FROM spend_limits WHERE user_id = $1"
				       " AND instance_id = $2 AND $3::bigint = 0";
	struct params p = { 0 };

	params_text(&p, user_id);
	params_text(&p, id);
	params_int(&p, micros);
	return pg_query(c, micros ? sql : sql_none, p.values, p.count, NULL, e);
}

int usage_is_paused(struct pg_conn *c, const char *id, bool *ret, struct err *e)
{
	static const char sql[] =
		"SELECT 1 FROM spend_limits WHERE instance_id = $1 AND paused_month = " MONTH;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, &id, 1, &res, e) < 0)
		return -1;
	*ret = PQntuples(res) > 0;
	return 0;
}

static int tell(struct pg_conn *c, struct instance *i, const struct usage_limit *l, bool is_paused,
                const char *trace_id, struct err *e)
{
	const struct spend_evt ev = { .instance_id = i->id,
		                      .monthly_micros = l->monthly_micros,
		                      .spent_micros = l->spent_micros,
		                      .message = is_paused ? USAGE_REACHED : NULL };

	i->config_generation++;
	if (store_change(c, i, NULL, i, e) < 0 ||
	    record_audit(c, i, "platform", is_paused ? "spend_reached" : "spend_resumed",
	                 ev.message, e) < 0)
		return -1;
	return outbox_tell(c, is_paused ? SUBJ_EVT_SPEND_REACHED : SUBJ_EVT_SPEND_RESUMED, i->id,
	                   trace_id, &ev, e);
}

int usage_settle(struct pg_conn *c, const char *user_id, const char *id, const char *trace_id,
                 bool *ret_changed, struct err *e)
{
	static const char sql_pause[] =
		"UPDATE spend_limits SET paused_month = " MONTH
		" WHERE instance_id = $1 AND paused_month IS DISTINCT FROM " MONTH " RETURNING 1";
	static const char sql_go[] =
		"UPDATE spend_limits SET paused_month = NULL, told_month = NULL"
		" WHERE instance_id = $1 AND paused_month IS NOT NULL RETURNING 1";
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *res = NULL;
	struct usage_limit l;
	struct instance i;
	bool is_over;

	*ret_changed = false;
	if (pg_begin(c, &tx, e) < 0 || store_lock(c, user_id, id, &i, e) < 0 ||
	    usage_limit_load(c, user_id, id, &l, e) < 0)
		return -1;
	if (!l.monthly_micros || i.desired == INSTANCE_WANT_DELETED)
		return 0;
	is_over = l.spent_micros >= l.monthly_micros;
	if (pg_query(c, is_over ? sql_pause : sql_go, &id, 1, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	if (tell(c, &i, &l, is_over, trace_id, e) < 0 || pg_commit(&tx, e) < 0)
		return -1;
	*ret_changed = true;
	return 0;
}

int usage_to_tell(struct pg_conn *c, const char *id, bool *ret, struct err *e)
{
	static const char sql[] =
		"SELECT 1 FROM spend_limits WHERE instance_id = $1"
		" AND paused_month = " MONTH " AND told_month IS DISTINCT FROM paused_month";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, &id, 1, &res, e) < 0)
		return -1;
	*ret = PQntuples(res) > 0;
	return 0;
}

int usage_told(struct pg_conn *c, const char *id, struct err *e)
{
	static const char sql[] =
		"UPDATE spend_limits SET told_month = paused_month WHERE instance_id = $1";

	return pg_query(c, sql, &id, 1, NULL, e);
}
