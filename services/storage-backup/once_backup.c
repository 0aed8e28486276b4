#include "app.h"

#include "svc/replies.h"

/* Replies to calls with an Idempotency-Key, in the table idempotency_backup. */

static struct replies replies_of(const struct call *c)
{
	return (struct replies){ ONCE_BACKUP, ((struct app *)c->app)->db };
}

static int begin(struct call *c, struct bus_stored *ret, struct err *e)
{
	const struct replies r = replies_of(c);

	return replies_begin(&r, c, ret, e);
}

static void finish(struct call *c, int status, const char *reply)
{
	const struct replies r = replies_of(c);
	const struct once_answer answer = { status, reply };

	replies_finish(&r, c, &answer, c->ctx.user_id[0] ? c->ctx.user_id : NULL);
}

const struct bus_once app_once = { begin, finish };
