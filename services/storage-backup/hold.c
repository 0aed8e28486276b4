#include "hold.h"

#include "base/clock.h"

#define STOP_MAX_MS 360000 /* an assistant in the middle of a reply may drain for 315 s */
#define LOOK_MS     300
#define KEEP_MS     15000

static int ask(struct run *r, long long seconds, bool *ret_stopped, struct err *e)
{
	struct instance_hold_req in = { .instance_id = r->job.instance_id,
		                        .user_id = r->job.user_id,
		                        .hold_id = r->job.id,
		                        .seconds = seconds };
	struct instance_hold out = { 0 };
	struct bus_ctx ctx = { 0 };
	OWN(arena) struct arena a;

	arena_init(&a, BUS_ARENA_LIMIT);
	snprintf(ctx.trace_id, sizeof(ctx.trace_id), "%s", r->job.trace_id);
	if (bus_call(r->app->bus, SUBJ_INSTANCE_HOLD, &ctx, &in, &a, &out, e) < 0)
		return err_wrap(e, "stopping the assistant");
	*ret_stopped = out.is_stopped;
	return 0;
}

int hold_begin(struct run *r, struct err *e)
{
	long long until_ms = clock_mono_ms() + STOP_MAX_MS;
	bool is_stopped = false;

	for (;;) {
		if (ask(r, HOLD_S, &is_stopped, e) < 0)
			return -1;
		snprintf(r->hold_id, sizeof(r->hold_id), "%s", r->job.id);
		r->held_ms = clock_mono_ms();
		if (is_stopped)
			return 0;
		if (!run_go_on(r))
			return err_set(e, ERR_CONFLICT, "the work was taken away");
		if (clock_mono_ms() > until_ms)
			return err_set(e, ERR_UNAVAILABLE, "the assistant does not stop");
		clock_sleep_ms(LOOK_MS);
	}
}

bool hold_keep(struct run *r)
{
	long long now_ms = clock_mono_ms();
	struct err e = ERR_INIT;
	bool is_stopped = false;

	if (now_ms - r->held_ms < KEEP_MS)
		return true;
	if (ask(r, HOLD_S, &is_stopped, &e) == 0) {
		r->held_ms = now_ms;
		return is_stopped;
	}
	/* instance-manager may be away for a while: the hold stands, as long as it was asked for. */
	return now_ms - r->held_ms < HOLD_S * 1000LL / 2;
}

int hold_end(struct run *r, struct err *e)
{
	bool ignored;

	if (!r->hold_id[0])
		return 0;
	if (ask(r, 0, &ignored, e) < 0)
		return -1;
	r->hold_id[0] = '\0';
	return 0;
}
