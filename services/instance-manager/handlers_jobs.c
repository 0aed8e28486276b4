/* Scheduled jobs and what runs by itself: all asked of the gateway. */

#include "app.h"

#include "link/ask.h"
#include "link/read.h"

#include "base/fault.h"
#include "base/json.h"

#define JOBS_MAX    200
#define RUNS_MAX    100
#define TASKS_MAX   100
#define RUNS_NORMAL 20
#define OURS        "zaki:" /* before the keys under which we declare jobs */

static int find(struct call *c, const char *id, struct link_place *at, struct err *e)
{
	return ask_find(c, id, at, e) < 0 ? -1 : ask_need_up(at, e);
}

static const char *word_or(struct arena *a, const cJSON *obj, const char *key, size_t max,
                           const char *otherwise)
{
	const char *word = read_word(a, obj, key, max);

	return word ? word : otherwise;
}

/* ---- schedules ---------------------------------------------------------------------------------- */

static struct job_schedule *schedule_read(struct arena *a, const cJSON *s)
{
	struct job_schedule *out = arena_alloc(a, sizeof(*out));
	const char *kind = json_text(s, "kind");

	if (!out || !kind)
		return NULL;
	out->kind = strcmp(kind, "every") == 0 ? "every" : strcmp(kind, "at") == 0 ? "at" : "cron";
	out->every_ms = read_count(s, "everyMs");
	out->has_every_ms = out->every_ms >= 60000;
	out->expr = read_line(a, s, "expr", 128);
	out->time_zone = read_word(a, s, "tz", 64);
	out->at = read_time(a, s, "at");
	return out;
}

/* What a person wrote, with exactly what its kind takes. */
static int schedule_add(cJSON *to, const struct job_schedule *s, struct err *e)
{
	cJSON *out = cJSON_AddObjectToObject(to, "schedule");
	bool is_every = strcmp(s->kind, "every") == 0, is_cron = strcmp(s->kind, "cron") == 0;
	bool is_at = !is_every && !is_cron;
	bool is_added;

	if (is_every != s->has_every_ms)
		return err_field(e, "schedule.every_ms",
		                 is_every ? "is needed" : "is for the kind every");
	if (is_cron != (s->expr != NULL))
		return err_field(e, "schedule.expr",
		                 is_cron ? "is needed" : "is for the kind cron");
	if (is_at != (s->at != NULL))
		return err_field(e, "schedule.at", is_at ? "is needed" : "is for the kind at");
	if (s->time_zone && !is_cron)
		return err_field(e, "schedule.time_zone", "is for the kind cron");
	is_added = cJSON_AddStringToObject(out, "kind", s->kind) != NULL;
	if (is_every)
		is_added &= cJSON_AddNumberToObject(out, "everyMs", (double)s->every_ms) != NULL;
	if (is_cron)
		is_added &= cJSON_AddStringToObject(out, "expr", s->expr) != NULL;
	if (s->time_zone)
		is_added &= cJSON_AddStringToObject(out, "tz", s->time_zone) != NULL;
	if (is_at)
		is_added &= cJSON_AddStringToObject(out, "at", s->at) != NULL;
	return is_added ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static bool message_add(cJSON *to, const char *message)
{
	cJSON *payload = cJSON_AddObjectToObject(to, "payload");

	return cJSON_AddStringToObject(payload, "kind", "agentTurn") &&
	       cJSON_AddStringToObject(payload, "message", message);
}

/* ---- jobs --------------------------------------------------------------------------------------- */

static bool job_read(struct arena *a, const cJSON *j, void *ret)
{
	struct job_view *v = ret;
	const cJSON *state = read_at(j, "state"), *payload = read_at(j, "payload");
	const char *title = read_line(a, j, "displayName", 255);
	const char *declared = json_text(j, "declarationKey");

	*v = (struct job_view){ 0 };
	v->id = read_word(a, j, "id", 128);
	v->name = title ? title : read_line(a, j, "name", 255);
	v->enabled = !cJSON_IsFalse(read_at(j, "enabled"));
	v->schedule = schedule_read(a, read_at(j, "schedule"));
	v->builtin = declared && strncmp(declared, OURS, strlen(OURS)) != 0;
	if (!v->builtin)
		v->message = read_long(a, payload, "message", 32768);
	v->next_run_at = read_time(a, j, "nextRunAtMs");
	if (!v->next_run_at)
		v->next_run_at = read_time(a, state, "nextRunAtMs");
	v->last_run_at = read_time(a, state, "lastRunAtMs");
	v->last_status = read_word(a, state, "lastRunStatus", 64);
	return v->id && v->name && v->schedule;
}

static int job_order(const void *a, const void *b)
{
	const char *x = ((const struct job_view *)a)->next_run_at;
	const char *y = ((const struct job_view *)b)->next_run_at;

	return !x || !y ? !x - !y : strcmp(x, y);
}

int on_job_list(struct call *c, struct err *e)
{
	static const struct read_kind jobs = { JOBS_MAX, sizeof(struct job_view), job_read };
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct job_list *out = CALL_OUT(c, job_list);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0)
		return -1;
	out->live = at.is_up;
	out->as_of = read_as_of(&c->arena, &at);
	if (!cJSON_AddTrueToObject(params, "includeDisabled"))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (at.is_up && ask_call(c, &at, "cron.list", params, &got, e) < 0)
		return -1;
	out->items = read_each(&c->arena, read_at(got, "jobs"), &jobs, &out->items_count);
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	qsort(out->items, out->items_count, sizeof(*out->items), job_order);
	return 0;
}

static int job_answer(struct call *c, const cJSON *got, struct job_view *out, struct err *e)
{
	const cJSON *job = read_at(got, "job");

	return job_read(&c->arena, job ? job : got, out)
	               ? 0
	               : err_set(e, ERR_UPSTREAM, "the assistant answers with no job");
}

int on_job_add(struct call *c, struct err *e)
{
	const struct job_add_req *in = CALL_IN(c, job_add_req);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	cJSON *delivery = cJSON_AddObjectToObject(params, "delivery");
	const char *mode = in->has_deliver && in->deliver ? "announce" : "none";
	char key[sizeof(OURS) + ASK_ONCE_SIZE], once[ASK_ONCE_SIZE];
	struct link_place at;

	if (find(c, in->instance_id, &at, e) < 0 || schedule_add(params, in->schedule, e) < 0)
		return -1;
	/* What is declared under a key that is there already is that job. */
	snprintf(key, sizeof(key), OURS "%s", ask_once_id(c, once));
	if (!cJSON_AddStringToObject(params, "name", in->name) ||
	    !cJSON_AddStringToObject(params, "declarationKey", key) ||
	    !cJSON_AddStringToObject(params, "sessionTarget", "isolated") ||
	    !message_add(params, in->message) || !cJSON_AddStringToObject(delivery, "mode", mode))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask_call(c, &at, "cron.add", params, &got, e) < 0)
		return -1;
	/* A crash here: it is there, and the same request again finds it. */
	fault_point("job.added");
	return job_answer(c, got, CALL_OUT(c, job_view), e);
}

int on_job_edit(struct call *c, struct err *e)
{
	const struct job_edit_req *in = CALL_IN(c, job_edit_req);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	cJSON *patch = cJSON_AddObjectToObject(params, "patch");
	struct link_place at;

	if (find(c, in->instance_id, &at, e) < 0 ||
	    (in->schedule && schedule_add(patch, in->schedule, e) < 0))
		return -1;
	if (!cJSON_AddStringToObject(params, "id", in->job_id) ||
	    (in->name && !cJSON_AddStringToObject(patch, "name", in->name)) ||
	    (in->message && !message_add(patch, in->message)) ||
	    (in->has_enabled && !cJSON_AddBoolToObject(patch, "enabled", in->enabled)))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (!patch->child)
		return err_field(e, "name", "nothing to change is given");
	if (ask_call(c, &at, "cron.update", params, &got, e) < 0)
		return -1;
	return job_answer(c, got, CALL_OUT(c, job_view), e);
}

/* Everything that takes a job's id alone. */
static int job_ask(struct call *c, const struct job_ref *in, const char *method, const char *mode,
                   cJSON **ret, struct err *e)
{
	OWN(json) cJSON *params = cJSON_CreateObject();
	struct link_place at;

	if (find(c, in->instance_id, &at, e) < 0)
		return -1;
	if (!cJSON_AddStringToObject(params, "id", in->job_id) ||
	    (mode && !cJSON_AddStringToObject(params, "mode", mode)))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return ask_call(c, &at, method, params, ret, e);
}

int on_job_remove(struct call *c, struct err *e)
{
	OWN(json) cJSON *got = NULL;

	return job_ask(c, CALL_IN(c, job_ref), "cron.remove", NULL, &got, e);
}

int on_job_run(struct call *c, struct err *e)
{
	const struct job_ref *in = CALL_IN(c, job_ref);
	struct job_started *out = CALL_OUT(c, job_started);
	OWN(json) cJSON *got = NULL;

	if (job_ask(c, in, "cron.run", "force", &got, e) < 0)
		return -1;
	out->job_id = in->job_id;
	out->run_id = read_word(&c->arena, got, "runId", 255);
	return 0;
}

static bool run_read(struct arena *a, const cJSON *r, void *ret)
{
	struct job_run_view *v = ret;

	*v = (struct job_run_view){ 0 };
	v->job_id = read_word(a, r, "jobId", 128);
	v->status = word_or(a, r, "status", 64, "unknown");
	v->started_at = read_time(a, r, "runAtMs");
	if (!v->started_at)
		v->started_at = read_time(a, r, "ts");
	v->has_duration_ms = cJSON_IsNumber(read_at(r, "durationMs"));
	v->duration_ms = read_count(r, "durationMs");
	v->summary = read_long(a, r, "summary", 4096);
	v->error = read_long(a, r, "error", 1024);
	return cJSON_IsObject(r);
}

int on_job_runs(struct call *c, struct err *e)
{
	static const struct read_kind runs = { RUNS_MAX, sizeof(struct job_run_view), run_read };
	const struct job_runs_req *in = CALL_IN(c, job_runs_req);
	struct job_run_list *out = CALL_OUT(c, job_run_list);
	OWN(json) cJSON *params = cJSON_CreateObject();
	OWN(json) cJSON *got = NULL;
	struct link_place at;

	if (find(c, in->instance_id, &at, e) < 0)
		return -1;
	if (!cJSON_AddStringToObject(params, "id", in->job_id) ||
	    !cJSON_AddNumberToObject(params, "limit",
	                             (double)(in->has_limit ? in->limit : RUNS_NORMAL)))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask_call(c, &at, "cron.runs", params, &got, e) < 0)
		return -1;
	out->items = read_each(&c->arena, read_at(got, "entries"), &runs, &out->items_count);
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < out->items_count; i++)
		if (!out->items[i].job_id)
			out->items[i].job_id = in->job_id;
	return 0;
}

/* ---- tasks -------------------------------------------------------------------------------------- */

static bool task_read(struct arena *a, const cJSON *t, void *ret)
{
	struct task_view *v = ret;

	*v = (struct task_view){ 0 };
	v->id = read_word(a, t, "id", 128);
	v->kind = word_or(a, t, "kind", 64, "task");
	v->title = read_line(a, t, "title", 255);
	v->status = word_or(a, t, "status", 64, "unknown");
	v->started_at = read_time(a, t, "startedAt");
	v->ended_at = read_time(a, t, "endedAt");
	v->summary = read_long(a, t, "terminalSummary", 4096);
	if (!v->summary)
		v->summary = read_long(a, t, "error", 4096);
	v->session_key = read_word(a, t, "childSessionKey", 255);
	return v->id != NULL;
}

int on_task_list(struct call *c, struct err *e)
{
	static const struct read_kind tasks = { TASKS_MAX, sizeof(struct task_view), task_read };
	const struct instance_ref *in = CALL_IN(c, instance_ref);
	struct task_list *out = CALL_OUT(c, task_list);
	OWN(json) cJSON *got = NULL;
	struct link_place at;

	if (ask_find(c, in->instance_id, &at, e) < 0)
		return -1;
	out->live = at.is_up;
	out->as_of = read_as_of(&c->arena, &at);
	if (at.is_up && ask_call(c, &at, "tasks.list", NULL, &got, e) < 0)
		return -1;
	out->items = read_each(&c->arena, read_at(got, "tasks"), &tasks, &out->items_count);
	return out->items ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
