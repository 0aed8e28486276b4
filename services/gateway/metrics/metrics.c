#include "metrics/metrics.h"

#include "base/log.h"
#include "metrics/collect.h"
#include "metrics/prom.h"

#include <civetweb.h>

struct metrics_server {
	struct app *app;
	struct mg_context *server;
};

static void answer(struct mg_connection *conn, const char *status, const char *type,
                   const char *body)
{
	bool is_head = strcmp(mg_get_request_info(conn)->request_method, "HEAD") == 0;

	mg_printf(conn,
	          "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	          "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	          "Connection: close\r\n%s\r\n",
	          status, type, strlen(body),
	          strncmp(status, "405", 3) == 0 ? "Allow: GET, HEAD\r\n" : "");
	if (!is_head)
		(void)mg_write(conn, body, strlen(body));
}

static int make(struct app *app, char **ret, struct err *e)
{
	OWN(json) cJSON *stats = NULL;

	return collect(app->bus, &stats, e) < 0 ? -1 : prom_text(stats, ret, e);
}

static void answer_metrics(struct app *app, struct mg_connection *conn)
{
	OWN(mem) char *text = NULL;
	struct err e = ERR_INIT;

	if (make(app, &text, &e) == 0) {
		answer(conn, "200 OK", "text/plain; version=0.0.4; charset=utf-8", text);
		return;
	}
	log_warn("figures are not served", "error", e.msg);
	answer(conn, "503 Service Unavailable", "text/plain; charset=utf-8",
	       "the bus cannot be reached\n");
}

static int on_request(struct mg_connection *conn)
{
	struct metrics_server *m = mg_get_user_data(mg_get_context(conn));
	const struct mg_request_info *info = mg_get_request_info(conn);

	if (strcmp(info->local_uri_raw, "/metrics") != 0)
		answer(conn, "404 Not Found", "text/plain; charset=utf-8", "only /metrics\n");
	else if (strcmp(info->request_method, "GET") != 0 &&
	         strcmp(info->request_method, "HEAD") != 0)
		answer(conn, "405 Method Not Allowed", "text/plain; charset=utf-8", "only GET\n");
	else
		answer_metrics(m->app, conn);
	return 1;
}

int metrics_start(struct app *app, struct metrics_server **ret, struct err *e)
{
	const struct mg_callbacks callbacks = { .begin_request = on_request };
	char address[64];
	/* document_root stays unset, as for the API. */
	const char *options[] = { "listening_ports",
		                  address,
		                  "num_threads",
		                  METRICS_THREADS,
		                  "enable_directory_listing",
		                  "no",
		                  "enable_auth_domain_check",
		                  "no",
		                  "request_timeout_ms",
		                  "5000",
		                  NULL };
	struct metrics_server *m;

	if (app->metrics_port == 0)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, ERR_INTERNAL, "out of memory");
	m->app = app;
	snprintf(address, sizeof(address), "%s:%lld", app->metrics_bind, app->metrics_port);
	m->server = mg_start(&callbacks, m, options);
	if (!m->server) {
		free(m);
		return err_set(e, ERR_UNAVAILABLE, "METRICS_PORT: cannot listen on %s", address);
	}
	*ret = m;
	return 0;
}

void metrics_stop(struct metrics_server *m)
{
	if (!m)
		return;
	mg_stop(m->server);
	free(m);
}
