/* Tokens and cost, and the month's limit. All of it is stored: the links bring it in. */

#include "app.h"

#include "link/ask.h"
#include "link/link.h"
#include "link/read.h"
#include "link/usage.h"
#include "record.h"

#include "base/clock.h"

#define DAYS_NORMAL 30
#define DAY_MS      86400000LL
#define TOTAL       "total"

/* Of all days: what the sums of the days come to. */
static struct usage_row *total_of(struct arena *a, const struct usage_row *days, size_t count)
{
	struct usage_row *sum = arena_alloc(a, sizeof(*sum));

	if (!sum)
		return NULL;
	sum->name = TOTAL;
	for (size_t i = 0; i < count; i++) {
		sum->input_tokens += days[i].input_tokens;
		sum->output_tokens += days[i].output_tokens;
		sum->cache_tokens += days[i].cache_tokens;
		sum->total_tokens += days[i].total_tokens;
		sum->cost_micros += days[i].cost_micros;
	}
	return sum;
}

int on_usage_get(struct call *c, struct err *e)
{
	const struct usage_req *in = CALL_IN(c, usage_req);
	struct usage_view *out = CALL_OUT(c, usage_view);
	long long days = in->has_days ? in->days : DAYS_NORMAL;
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	const char *user = c->ctx.user_id, *id = in->instance_id;
	char first[USAGE_DAY_SIZE];
	struct usage_query q = { user, id, NULL, first };
	struct link_place at;

	if (ask_find(c, id, &at, e) < 0 || pg_take(app->db, &db, e) < 0)
		return -1;
	usage_day(clock_now_ms() - (days - 1) * DAY_MS, first);
	out->limit = arena_alloc(&c->arena, sizeof(*out->limit));
	if (!out->limit)
		return err_set(e, ERR_INTERNAL, "out of memory");
	q.kind = TOTAL;
	if (usage_sums(db, &q, &c->arena, &out->days, &out->days_count, e) < 0)
		return -1;
	q.kind = "model";
	if (usage_sums(db, &q, &c->arena, &out->models, &out->models_count, e) < 0)
		return -1;
	q.kind = "session";
	if (usage_sums(db, &q, &c->arena, &out->sessions, &out->sessions_count, e) < 0 ||
	    usage_limit_load(db, user, id, out->limit, e) < 0)
		return -1;
	out->total = total_of(&c->arena, out->days, out->days_count);
	out->live = at.is_up;
	out->as_of = read_as_of(&c->arena, &at);
	return out->total ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* A limit of 0 takes the limit away; where it had paused the model, it goes on first. */
int on_usage_limit(struct call *c, struct err *e)
{
	const struct usage_limit_req *in = CALL_IN(c, usage_limit_req);
	struct usage_limit *out = CALL_OUT(c, usage_limit);
	const char *user = c->ctx.user_id, *id = in->instance_id;
	const long long far = (1LL << 53) - 1;
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct link_place at;
	bool is_changed;

	if (ask_find(c, id, &at, e) < 0 || pg_take(app->db, &db, e) < 0 ||
	    usage_limit_write(db, user, id, in->monthly_micros ? in->monthly_micros : far, e) < 0 ||
	    usage_settle(db, user, id, c->ctx.trace_id, &is_changed, e) < 0 ||
	    (!in->monthly_micros && usage_limit_write(db, user, id, 0, e) < 0) ||
	    record_audit(db, &at.instance, "user", "spend_limit", NULL, e) < 0)
		return -1;
	if (is_changed) {
		app_wake(app);
		links_resync(app->links, id); /* where it is held here; else at its next count */
	}
	return usage_limit_load(db, user, id, out, e);
}
