#include "audit.h"

#include <arpa/inet.h>

static const char *const names[] = {
#define AUDIT(id, name) [AUDIT_##id] = name,
#include "audit.def"
#undef AUDIT
};

static const char sql_write[] =
	"INSERT INTO audit_log (action, user_id, session_id, address, user_agent, trace_id)"
	" VALUES ($1, $2, $3, $4, $5, $6)";

/* A client says what it likes: an address that is none is left out, an agent is kept as visible
 * ASCII. */
void client_from(const struct bus_ctx *ctx, struct client *ret)
{
	struct in6_addr any;
	size_t i;

	ret->address = NULL;
	if (inet_pton(AF_INET, ctx->client_address, &any) == 1 ||
	    inet_pton(AF_INET6, ctx->client_address, &any) == 1)
		ret->address = ctx->client_address;
	for (i = 0; i < BUS_AGENT_MAX && ctx->client_agent[i]; i++) {
		char c = ctx->client_agent[i];

		ret->agent[i] = c;
		if (c < ' ' || c > '~')
			ret->agent[i] = '?';
	}
	ret->agent[i] = '\0';
}

int audit_write(struct pg_conn *c, const struct bus_ctx *ctx, enum audit_action action,
                const char *user_id, const char *session_id, struct err *e)
{
	struct client client;
	const char *params[] = { names[action], user_id, session_id, NULL, NULL, NULL };

	client_from(ctx, &client);
	params[3] = client.address;
	params[4] = client.agent[0] ? client.agent : NULL;
	params[5] = ctx->trace_id[0] ? ctx->trace_id : NULL;
	return pg_query(c, sql_write, params, COUNT(params), NULL, e);
}
