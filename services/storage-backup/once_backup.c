#include "app.h"

#include "base/log.h"
#include "store/once.h"

/* Replies to calls with an Idempotency-Key, in the table idempotency_backup. */

#define OWNER_SIZE 48

/* A call has its place in memory alone, and the process its name on the bus. */
static struct once_ask ask_of(const struct call *c, char owner[OWNER_SIZE])
{
	snprintf(owner, OWNER_SIZE, "%s.%p", bus_instance_id(c->bus), (const void *)c);
	return (struct once_ask){ .table = ONCE_BACKUP,
		                  .scope = c->ctx.user_id[0] ? c->ctx.user_id : "anonymous",
		                  .key = c->ctx.idempotency_key,
		                  .subject = c->subject->name,
		                  .request_hash = c->request_hash,
		                  .owner = owner };
}

static int begin(struct call *c, struct bus_stored *ret, struct err *e)
{
	struct app *app = c->app;
	char owner[OWNER_SIZE];
	struct once_ask ask = ask_of(c, owner);
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct once_answer answer;

	if (pg_take(app->db, &db, e) < 0 || once_begin(db, &ask, &c->arena, &answer, e) < 0)
		return -1;
	ret->status = answer.status;
	ret->reply = answer.reply;
	return 0;
}

static void finish(struct call *c, int status, const char *reply)
{
	struct app *app = c->app;
	char owner[OWNER_SIZE];
	struct once_ask ask = ask_of(c, owner);
	OWN(pg_conn) struct pg_conn *db = NULL;
	const struct once_answer answer = { status, reply };
	struct err e = ERR_INIT;

	/* The claim stays; it is taken over once it is old, and what it did can be repeated. */
	if (pg_take(app->db, &db, &e) < 0 ||
	    once_finish(db, &ask, &answer, c->ctx.user_id[0] ? c->ctx.user_id : NULL, &e) < 0)
		log_warn("a reply could not be kept for its Idempotency-Key", "error", e.msg);
}

const struct bus_once app_once = { begin, finish };
