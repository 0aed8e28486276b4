#include "svc/svc.h"

int svc_on_health(struct call *c, struct err *e)
{
	const struct svc_def *def = svc_running;
	struct health_view *out = CALL_OUT(c, health_view);

	out->status = "up";
	out->parts_count = def->health_count;
	out->parts = arena_alloc(&c->arena, (def->health_count + 1) * sizeof(*out->parts));
	if (!out->parts)
		return err_set(e, ERR_INTERNAL, "out of memory");

	for (size_t i = 0; i < def->health_count; i++) {
		struct err why = ERR_INIT;

		out->parts[i].name = def->health[i].name;
		out->parts[i].status = "up";
		if (def->health[i].check(c->app, &why) < 0) {
			/* The public text: health is asked without a token. */
			out->parts[i].status = "down";
			out->parts[i].message = arena_strdup(&c->arena, err_public(&why));
			out->status = "degraded";
		}
	}
	return 0;
}
