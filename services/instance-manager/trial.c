#include "trial.h"

#include "act.h"
#include "instance_store.h"

#include "base/fault.h"
#include "base/log.h"
#include "store/params.h"

static int take(struct pg_conn *c, const struct instance_trial_req *in, bool *ret, struct err *e)
{
	static const char sql[] =
		"INSERT INTO trials (id, instance_id, user_id, until)"
		" VALUES ($1, $2, $3, now() + make_interval(secs => $4::int))"
		" ON CONFLICT (is_it) DO UPDATE SET until = greatest(trials.until, excluded.until)"
		" WHERE trials.id = excluded.id AND trials.user_id = excluded.user_id"
		"  AND trials.instance_id = excluded.instance_id RETURNING id";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, in->trial_id);
	params_text(&p, in->instance_id);
	params_text(&p, in->user_id);
	params_int(&p, in->seconds);
	if (pg_query(c, sql, p.values, p.count, &res, e) < 0)
		return -1;
	*ret = PQntuples(res) > 0;
	return 0;
}

/* The instance, and whether there is place for the trial. */
static int admit(struct app *app, const struct instance_trial_req *in, struct instance *i,
                 bool *ret_taken, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(app->db, &c, e) < 0 || store_load(c, in->user_id, in->instance_id, i, e) < 0)
		return -1;
	if (i->desired == INSTANCE_WANT_DELETED)
		return err_set(e, ERR_NOT_FOUND, "the assistant is being deleted");
	return take(c, in, ret_taken, e);
}

/* Since its start, which is now if it was never before; once it was ready, how long that took. */
static int time_of(struct app *app, const char *trial_id, bool is_ready, long long *ret_ms,
                   struct err *e)
{
	static const char sql[] =
		"WITH t AS (SELECT id, coalesce(started_at, now()) AS begun FROM trials"
		"  WHERE id = $1 FOR UPDATE),"
		" m AS (SELECT id, begun, floor(extract(epoch FROM now() - begun) * 1000)::bigint"
		"  AS ms FROM t)"
		" UPDATE trials SET started_at = m.begun,"
		"  took_ms = CASE WHEN $2::bool THEN coalesce(took_ms, m.ms) END"
		" FROM m WHERE trials.id = m.id RETURNING coalesce(took_ms, m.ms) AS ms";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;

	if (pg_take(app->db, &c, e) < 0 ||
	    pg_query(c, sql, (const char *[]){ trial_id, is_ready ? "t" : "f" }, 2, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return err_set(e, ERR_UNAVAILABLE, "the trial's time was over");
	return pg_int(res, 0, "ms", ret_ms, e);
}

static int start(struct app *app, const struct instance *i, const char *trial_id, bool is_made,
                 struct err *e)
{
	char name[CONTAINER_NAME_SIZE];
	enum engine_created created;
	enum engine_started started;
	struct container_spec spec;

	act_spec(app, i, &spec);
	spec.trial_id = trial_id;
	if (!i->image[0])
		spec.image = app->openclaw_image;
	/* A crash here: a row without a container, which the next question makes. */
	fault_point("trial.taken");
	if (!is_made && engine_create(app->engine, &spec, &created, e) < 0)
		return -1;
	/* A crash here: a container that was not started, which the next question finds. */
	fault_point("trial.created");
	if (engine_start(app->engine, container_trial_name(trial_id, name), &started, e) < 0)
		return -1;
	fault_point("trial.started");
	return 0;
}

/* How the container is; a new one is made where there is none. */
static int look(struct app *app, const struct instance *i, const char *trial_id,
                struct engine_state *ret, struct err *e)
{
	char name[CONTAINER_NAME_SIZE];
	struct engine_state s;

	if (engine_inspect(app->engine, container_trial_name(trial_id, name), &s, e) < 0)
		return -1;
	if (s.item.status == ENGINE_ABSENT || s.item.status == ENGINE_CREATED) {
		if (start(app, i, trial_id, s.item.status == ENGINE_CREATED, e) < 0)
			return -1;
		s = (struct engine_state){ .item.status = ENGINE_RUNNING };
	}
	*ret = s;
	return 0;
}

static int judge(struct app *app, const struct engine_state *s, struct instance_trial *out,
                 struct arena *a, struct err *e)
{
	const char *why = NULL;

	if (s->oom_killed)
		why = "It ran out of memory.";
	else if (s->item.status == ENGINE_EXITED || s->item.status == ENGINE_DEAD)
		why = arena_printf(a, "It ended with status %d.", s->exit_code);
	else if (!s->is_healthy && out->took_ms > app->ready_timeout_s * 1000)
		why = arena_printf(a, "It was not ready within %lld s.", app->ready_timeout_s);
	else {
		out->state = s->is_healthy ? "ready" : "starting";
		return 0;
	}
	if (!why)
		return err_set(e, ERR_INTERNAL, "out of memory");
	out->state = "failed";
	out->error = why;
	return 0;
}

static int end(struct app *app, const char *trial_id, struct err *e)
{
	static const char sql[] = "DELETE FROM trials WHERE id = $1";
	OWN(pg_conn) struct pg_conn *c = NULL;
	char name[CONTAINER_NAME_SIZE];

	if (engine_remove(app->engine, container_trial_name(trial_id, name), e) < 0)
		return -1;
	/* A crash here: a row without a container, until it is asked again or the time is over. */
	fault_point("trial.removed");
	if (pg_take(app->db, &c, e) < 0)
		return -1;
	return pg_query(c, sql, &trial_id, 1, NULL, e);
}

int on_trial(struct call *c, struct err *e)
{
	const struct instance_trial_req *in = CALL_IN(c, instance_trial_req);
	struct instance_trial *out = CALL_OUT(c, instance_trial);
	struct app *app = c->app;
	struct engine_state s;
	struct instance i;
	bool is_taken = false;

	if (in->seconds == 0) {
		out->state = "ended";
		return end(app, in->trial_id, e);
	}
	if (admit(app, in, &i, &is_taken, e) < 0)
		return -1;
	if (!is_taken) {
		out->state = "waiting";
		return 0;
	}
	if (look(app, &i, in->trial_id, &s, e) < 0 ||
	    time_of(app, in->trial_id, s.is_healthy, &out->took_ms, e) < 0)
		return -1;
	return judge(app, &s, out, &c->arena, e);
}

int trial_sweep(struct app *app, const struct engine_item *items, size_t count, struct err *e)
{
	static const char sql[] = "SELECT id, until < now() AS is_over FROM trials";
	static const char sql_over[] = "DELETE FROM trials WHERE id = $1 AND until < now()";
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	const char *id;
	bool is_over;

	if (pg_take(app->db, &c, e) < 0 || pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	id = PQntuples(res) > 0 ? pg_text(res, 0, "id") : "";
	is_over = PQntuples(res) > 0 && pg_bool(res, 0, "is_over");
	for (size_t i = 0; i < count; i++) {
		char trial_id[UUID_SIZE];

		if (!items[i].is_ours || !container_trial_from(items[i].name, trial_id) ||
		    items[i].status == ENGINE_REMOVING || (strcmp(trial_id, id) == 0 && !is_over))
			continue;
		log_warn("a trial's container is left over, being removed", "container",
		         items[i].name);
		if (engine_remove(app->engine, items[i].id, e) < 0)
			return -1;
	}
	if (!is_over)
		return 0;
	/* A crash here: the row is there still, and over. */
	fault_point("trial.swept");
	return pg_query(c, sql_over, &id, 1, NULL, e);
}
