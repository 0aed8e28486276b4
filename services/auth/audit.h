#ifndef AUTH_AUDIT_H
#define AUTH_AUDIT_H

#include "bus/bus.h"
#include "store/pg.h"

/* Where a request came from, as the database takes it: NULL where it is not known. */
struct client {
	const char *address; /* points into the ctx */
	char agent[BUS_AGENT_MAX + 1];
};

void client_from(const struct bus_ctx *ctx, struct client *ret);

/* What is written to audit_log: one row each. */
enum audit_action {
#define AUDIT(id, name) AUDIT_##id,
#include "audit.def"
#undef AUDIT
};

/* user_id and session_id: NULL where there is none. In the caller's transaction, where one is open. */
int audit_write(struct pg_conn *c, const struct bus_ctx *ctx, enum audit_action action,
                const char *user_id, const char *session_id, struct err *e);

#endif
