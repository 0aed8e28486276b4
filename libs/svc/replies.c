#include "svc/replies.h"

#include "base/log.h"

/* A call has its place in memory alone, and the process its name on the bus. */
struct once_ask replies_ask(enum once_table table, const struct call *c,
                            char owner[REPLIES_OWNER_SIZE])
{
	snprintf(owner, REPLIES_OWNER_SIZE, "%s %p", bus_instance_id(c->bus), (const void *)c);
	return (struct once_ask){
		.table = table,
		.scope = c->ctx.user_id[0] ? c->ctx.user_id : "anonymous",
		.key = c->ctx.idempotency_key,
		.subject = c->subject->name,
		.request_hash = c->request_hash,
		.owner = owner,
	};
}

int replies_begin(const struct replies *r, struct call *c, struct bus_stored *ret, struct err *e)
{
	char owner[REPLIES_OWNER_SIZE];
	const struct once_ask ask = replies_ask(r->table, c, owner);
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct once_answer before = { 0 };

	if (pg_take(r->db, &db, e) < 0 || once_begin(db, &ask, &c->arena, &before, e) < 0)
		return -1;
	*ret = (struct bus_stored){ before.status, before.reply };
	return 0;
}

void replies_finish(const struct replies *r, struct call *c, const struct once_answer *answer,
                    const char *about)
{
	char owner[REPLIES_OWNER_SIZE];
	const struct once_ask ask = replies_ask(r->table, c, owner);
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct err e = ERR_INIT;

	if (pg_take(r->db, &db, &e) < 0 || once_finish(db, &ask, answer, about, &e) < 0)
		log_warn("a reply could not be kept for its Idempotency-Key", "error", e.msg);
}
