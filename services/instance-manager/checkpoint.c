#include "checkpoint.h"

#include "base/clock.h"

int checkpoint_ask(struct app *app, const struct instance *i, const char *reason,
                   long long since_ms, char ret_status[CHECKPOINT_STATUS_SIZE], struct err *e)
{
	char since[CLOCK_TEXT_SIZE];
	struct checkpoint_req in = { .instance_id = i->id,
		                     .user_id = i->user_id,
		                     .reason = reason,
		                     .since = clock_text(since_ms, since) };
	struct checkpoint_state out = { 0 };
	struct bus_ctx ctx = { 0 };
	OWN(arena) struct arena a;

	arena_init(&a, BUS_ARENA_LIMIT);
	snprintf(ctx.trace_id, sizeof(ctx.trace_id), "%s", i->trace_id);
	if (bus_call(app->bus, SUBJ_BACKUP_CHECKPOINT, &ctx, &in, &a, &out, e) < 0)
		return -1;
	snprintf(ret_status, CHECKPOINT_STATUS_SIZE, "%s", out.status);
	return 0;
}

bool checkpoint_is_failed(const char *status)
{
	return strcmp(status, "failed") == 0 || strcmp(status, "damaged") == 0;
}
