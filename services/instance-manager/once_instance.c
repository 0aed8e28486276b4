#include "app.h"

#include "svc/replies.h"

/* Replies to calls with an Idempotency-Key, in the table idempotency_instance. */

static struct replies replies_of(const struct call *c)
{
	return (struct replies){ ONCE_INSTANCE, ((struct app *)c->app)->db };
}

static int begin(struct call *c, struct bus_stored *ret, struct err *e)
{
	const struct replies r = replies_of(c);

	return replies_begin(&r, c, ret, e);
}

/* The instance that an answer tells of: when it is deleted, so is the answer. */
static const char *about(const struct call *c, int status)
{
	const struct instance_view *view = c->out;

	return status == 200 && c->subject->out == &wire_instance_view ? view->id : NULL;
}

static void finish(struct call *c, int status, const char *reply)
{
	const struct replies r = replies_of(c);
	const struct once_answer answer = { status, reply };

	replies_finish(&r, c, &answer, about(c, status));
}

const struct bus_once app_once = { begin, finish };
