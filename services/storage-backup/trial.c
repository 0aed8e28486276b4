#include "trial.h"

#include "base/clock.h"
#include "base/fault.h"

#define LOOK_MS 400
#define SLOW_MS 1000
#define AWAY_MS 60000   /* that instance-manager does not answer */
#define WAIT_MS 3600000 /* for other trials to end, which is one at a time */

void trial_path(const struct run *r, char ret[TRIAL_PATH_SIZE])
{
	snprintf(ret, TRIAL_PATH_SIZE, "%s/" APP_SCRATCH "/trial-%s", r->app->data_dir, r->job.id);
}

static int ask_once(struct run *r, long long seconds, struct arena *a, struct instance_trial *ret,
                    struct err *e)
{
	struct instance_trial_req in = { .instance_id = r->job.instance_id,
		                         .user_id = r->job.user_id,
		                         .trial_id = r->job.id,
		                         .seconds = seconds };
	struct bus_ctx ctx = { 0 };

	snprintf(ctx.trace_id, sizeof(ctx.trace_id), "%s", r->job.trace_id);
	if (bus_call(r->app->bus, SUBJ_INSTANCE_TRIAL, &ctx, &in, a, ret, e) == 0)
		return 0;
	/* Of a container engine that refuses: nothing of it is the backup's. */
	if (e->code == ERR_UPSTREAM)
		e->code = ERR_INTERNAL;
	return err_wrap(e, "starting the assistant on trial");
}

/* instance-manager may be away for a while; the trial stands as long as it was asked for. */
static int ask(struct run *r, long long seconds, struct arena *a, struct instance_trial *ret,
               struct err *e)
{
	long long until_ms = clock_mono_ms() + AWAY_MS;

	for (;;) {
		*e = ERR_INIT;
		if (ask_once(r, seconds, a, ret, e) == 0)
			return 0;
		if (!run_may_pass(e) || !run_go_on(r) || clock_mono_ms() > until_ms)
			return -1;
		/* What was asked of an engine that is slow may be under way. */
		clock_sleep_ms(e->code == ERR_TIMEOUT ? SLOW_MS : LOOK_MS);
	}
}

/* One question. *ret_ended: its answer says how the trial went. */
static int look(struct run *r, struct trial_result *t, bool *ret_waits, bool *ret_ended,
                struct err *e)
{
	struct instance_trial out = { 0 };
	OWN(arena) struct arena a;

	arena_init(&a, BUS_ARENA_LIMIT);
	if (ask(r, TRIAL_S, &a, &out, e) < 0) {
		if (e->code != ERR_NOT_FOUND)
			return -1;
		*e = ERR_INIT;
		*t = (struct trial_result){ .is_tried = false };
		*ret_ended = true;
		return 0;
	}
	*ret_waits = strcmp(out.state, "waiting") == 0;
	*ret_ended = strcmp(out.state, "ready") == 0 || strcmp(out.state, "failed") == 0;
	*t = (struct trial_result){ .is_tried = true, .ms = out.took_ms };
	snprintf(t->error, sizeof(t->error), "%s", out.error ? out.error : "");
	return 0;
}

int trial_run(struct run *r, struct trial_result *ret, struct err *e)
{
	long long until_ms = clock_mono_ms() + WAIT_MS;
	struct trial_result t = { .is_tried = false };
	bool waits = false, is_ended = false;

	for (;;) {
		if (!run_go_on(r))
			return err_set(e, ERR_CONFLICT, "the work was taken away");
		if (look(r, &t, &waits, &is_ended, e) < 0)
			return -1;
		if (is_ended)
			break;
		/* How long a start may take instance-manager says. */
		if (waits && clock_mono_ms() > until_ms)
			return err_set(e, ERR_UNAVAILABLE, "other trials do not end");
		clock_sleep_ms(LOOK_MS);
	}
	/* A crash here, or before: the container goes when its time is over, or when the job is taken
	 * up again. */
	fault_point("drill.started");
	*ret = t;
	return 0;
}

int trial_clear(struct run *r, struct err *e)
{
	struct instance_trial out = { 0 };
	char path[TRIAL_PATH_SIZE];
	OWN(arena) struct arena a;

	arena_init(&a, BUS_ARENA_LIMIT);
	if (ask(r, 0, &a, &out, e) < 0)
		return -1;
	/* A crash here: files that nothing runs on, removed when the job is taken up again. */
	fault_point("drill.ended");
	trial_path(r, path);
	return engine_drill_forget(path, e);
}
