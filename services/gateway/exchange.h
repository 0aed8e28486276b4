#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include "app.h"
#include "head.h"
#include "limit.h"
#include "route.h"

/* One HTTP request and its answer. On the stack of civetweb's thread; nobody else sees it. */
struct exchange {
	struct app *app;
	struct mg_connection *conn;
	const struct mg_request_info *info;
	struct arena arena;

	struct head head;
	const struct route *route; /* NULL: none was found */
	const char *path;          /* under the base, still percent-encoded */
	char allow[ROUTE_ALLOW_SIZE];
	struct bus_ctx ctx;
	struct limit_state limit;
	long long body_left; /* bytes that were not read; -1: chunked, unknown */
	bool must_close;     /* the connection cannot go on */
	bool is_head;        /* the answer has no body */
	const char *cookies; /* Set-Cookie lines, or NULL */
	const char *tag;     /* of what is answered, without quotes; NULL: it has none */
	const char *type;    /* of what is answered; NULL: JSON */
	int status;          /* as answered */
};

/* Whether the method is one that changes something (RFC 9110, 9.2.1). */
static inline bool exchange_changes(const struct exchange *x)
{
	return strcmp(x->info->request_method, "GET") != 0 &&
	       strcmp(x->info->request_method, "HEAD") != 0;
}

#endif
