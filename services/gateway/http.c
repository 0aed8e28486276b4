#include "http.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "body.h"
#include "call.h"
#include "client_address.h"
#include "reply.h"

#include <pthread.h>

#define FAILED_LINES 10      /* a second */
#define QUIESCE_MS   20000   /* how long calls under way may take to end */
#define HEADER_ROOM  "65536" /* bytes; past HEAD_MAX ours is the answer, past this civetweb's */
#define TEXT_(n)     #n
#define TEXT(n)      TEXT_(n)

struct http {
	pthread_mutex_t lock; /* guards all below but app and server */
	pthread_cond_t idle;
	bool is_closing;
	long long requests;    /* under way */
	long long connections; /* that have a thread */
	struct told {
		long long ms;     /* monotonic; the second that the next two are of */
		long long count;  /* of such requests */
		long long untold; /* of these, or of seconds before, that no line says */
	} failed, refused;

	struct app *app;
	struct mg_context *server;
};

/* Between a connection's begin and its end, which civetweb may tell twice, this is its data. */
static char is_open;

static bool begin(struct http *h)
{
	bool is_closing;

	pthread_mutex_lock(&h->lock);
	is_closing = h->is_closing;
	h->requests += !is_closing;
	pthread_mutex_unlock(&h->lock);
	return !is_closing;
}

static void end(struct http *h)
{
	pthread_mutex_lock(&h->lock);
	if (--h->requests == 0)
		pthread_cond_broadcast(&h->idle);
	pthread_mutex_unlock(&h->lock);
}

/* An idle connection holds a thread. When most are held, each answer ends its connection, so that
 * those who wait to be accepted get one. */
static bool is_crowded(struct http *h)
{
	bool result;

	pthread_mutex_lock(&h->lock);
	result = h->connections > h->app->http_threads * 3 / 4;
	pthread_mutex_unlock(&h->lock);
	return result;
}

static int on_connection(const struct mg_connection *conn, void **ret_data)
{
	struct http *h = mg_get_user_data(mg_get_context(conn));

	pthread_mutex_lock(&h->lock);
	h->connections++;
	pthread_mutex_unlock(&h->lock);
	metric_add(METRIC_HTTP_CONNECTIONS, 1);
	*ret_data = &is_open;
	return 0;
}

static void on_close(const struct mg_connection *conn)
{
	struct http *h = mg_get_user_data(mg_get_context(conn));

	if (!mg_get_user_connection_data(conn))
		return;
	pthread_mutex_lock(&h->lock);
	h->connections--;
	pthread_mutex_unlock(&h->lock);
	metric_add(METRIC_HTTP_CONNECTIONS, -1);
}

/* What is known of a client before anything of its request is believed. */
static void exchange_begin(struct exchange *x, struct app *app, struct mg_connection *conn)
{
	*x = (struct exchange){
		.app = app,
		.conn = conn,
		.info = mg_get_request_info(conn),
		.limit = { .is_allowed = true },
	};
	arena_init(&x->arena, BUS_ARENA_LIMIT);
}

/* The client's name for its story, address and program, for services and their logs. */
static void describe_client(struct exchange *x)
{
	const char *agent = x->head.user_agent ? x->head.user_agent : "";
	size_t n = 0;

	head_trace(x->head.traceparent, x->ctx.trace_id);
	client_address(x->app->proxies, x->info->remote_addr, x->head.forwarded_for,
	               x->ctx.client_address);
	for (; n < BUS_AGENT_MAX && agent[n]; n++)
		x->ctx.client_agent[n] = agent[n] >= 0x20 && agent[n] < 0x7f ? agent[n] : '?';
}

static int serve_local(struct exchange *x, struct err *e)
{
	OWN(json_text) char *text = NULL;
	int status = x->route->local(x->app, &text);

	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	reply_send(x, status, text, strlen(text), 0);
	return 0;
}

static int serve(struct exchange *x, struct err *e)
{
	const char *method = x->info->request_method;
	int r = head_read(x->info, &x->arena, &x->head, e);

	x->must_close |= r < 0;
	describe_client(x);
	bus_trace_begin(&x->ctx);
	log_trace_set(x->ctx.trace_id);
	if (r < 0)
		return -1;

	x->body_left = x->head.body_len;
	x->is_head = strcmp(method, "HEAD") == 0;
	r = route_find(method, x->info->local_uri_raw, &x->route, &x->path, x->allow, e);
	/* More than will be read away: the answer says that the connection ends with it. */
	x->must_close |= x->head.body_len >
	                 (r < 0 ? ROUTE_BODY_KIB * 1024LL : (long long)x->route->body_max);
	if (r < 0 && e->code == ERR_METHOD && strcmp(method, "OPTIONS") == 0) {
		*e = ERR_INIT;
		reply_options(x);
		return 0;
	}
	if (r < 0)
		return -1;
	x->arena.limit += x->route->body_max;
	return x->route->local ? serve_local(x, e) : call_forward(x, e);
}

/* While the bus is away all requests fail, and in a flood most are refused, for the same reason: a few
 * lines a second say so as well as thousands. ret_untold: how many were left out before this one. */
static bool is_worth_a_line(struct http *h, struct told *t, char ret_untold[24])
{
	long long now_ms = clock_mono_ms();
	bool result;

	pthread_mutex_lock(&h->lock);
	if (now_ms - t->ms >= 1000) {
		t->ms = now_ms;
		t->count = 0;
	}
	result = ++t->count <= FAILED_LINES;
	snprintf(ret_untold, 24, "%.0lld", result ? t->untold : 0);
	t->untold = result ? 0 : t->untold + 1;
	pthread_mutex_unlock(&h->lock);
	return result;
}

/* Who was turned away at this door: the sign of somebody who tries. */
static bool is_refusal(const struct err *e)
{
	return e->code == ERR_UNAUTHENTICATED || e->code == ERR_FORBIDDEN || e->code == ERR_LIMIT;
}

/* A failed call is logged by the service; what failed here, on the way to it, by us. */
static void log_end(struct http *h, const struct exchange *x, const struct err *e,
                    long long start_ns)
{
	bool is_failed = e->code != ERR_NONE && err_http(e->code) >= 500;
	const char *path = x->route ? x->route->path : "";
	char status[12], ms[24], untold[24];

	snprintf(status, sizeof(status), "%d", x->status);
	snprintf(ms, sizeof(ms), "%.1f", (double)(clock_mono_ns() - start_ns) / 1e6);
	if (is_failed && is_worth_a_line(h, &h->failed, untold))
		log_line(e->code == ERR_INTERNAL ? LOG_ERR : LOG_WRN, "request failed", "method",
		         x->info->request_method, "route", path, "status", status, "user_id",
		         x->ctx.user_id, "error", e->msg, "duration_ms", ms, "untold", untold,
		         (char *)NULL);
	else if (is_refusal(e) && is_worth_a_line(h, &h->refused, untold))
		log_info("request refused", "method", x->info->request_method, "route", path,
		         "code", err_name(e->code), "user_id", x->ctx.user_id, "address",
		         x->ctx.client_address, "error", e->msg, "untold", untold);
	else if (!is_failed)
		log_debug("request", "method", x->info->request_method, "route", path, "status",
		          status, "duration_ms", ms);
}

static int on_request(struct mg_connection *conn)
{
	struct http *h = mg_get_user_data(mg_get_context(conn));
	long long start_ns = clock_mono_ns();
	struct err e = ERR_INIT;
	struct exchange x;

	exchange_begin(&x, h->app, conn);
	x.must_close = is_crowded(h);
	if (!begin(h)) {
		x.must_close = true;
		bus_trace_begin(&x.ctx);
		err_busy(&e, ERR_UNAVAILABLE, 1, "shutting down");
		reply_error(&x, &e);
	} else {
		if (serve(&x, &e) < 0)
			reply_error(&x, &e);
		end(h);
		log_end(h, &x, &e, start_ns);
	}
	if (x.body_left != 0 && !(x.must_close && x.head.expect))
		body_discard(&x);
	log_trace_set(NULL);
	arena_done(&x.arena);
	if (x.must_close)
		mg_close_connection(conn);
	return x.status;
}

/* What civetweb refuses before it asks us: no request could be read. */
static int on_error(struct mg_connection *conn, int status, const char *text)
{
	struct http *h = mg_get_user_data(mg_get_context(conn));
	const char *path;
	struct err e = ERR_INIT;
	struct exchange x;

	exchange_begin(&x, h->app, conn);
	bus_trace_begin(&x.ctx);
	x.must_close = true;
	if (status >= 500 && status != 505)
		err_set(&e, ERR_INTERNAL, "civetweb: %s", text);
	else if (status == 413)
		err_set(&e, ERR_HEADERS, "the header is too large");
	else
		err_field(&e, "", "this is no HTTP request: malformed, too large or too slow");

	/* A method that it does not know has been read like any other. */
	if (status == 400 && x.info->http_version && x.info->num_headers == 0 &&
	    x.info->request_uri[0] == '/' && strncmp(x.info->http_version, "1.", 2) == 0)
		(void)route_find(x.info->request_method, x.info->request_uri, &x.route, &path,
		                 x.allow, &e);
	reply_error(&x, &e);
	arena_done(&x.arena);
	return 0;
}

/* civetweb's own words, about connections that broke: of use only to who looks for it. */
static int on_message(const struct mg_connection *conn, const char *message)
{
	(void)conn;
	log_debug("civetweb", "detail", message);
	return 1;
}

static int listen_on(struct http *h, struct err *e)
{
	const struct mg_callbacks callbacks = {
		.begin_request = on_request,
		.http_error = on_error,
		.log_message = on_message,
		.init_connection = on_connection,
		.connection_close = on_close,
	};
	char address[64], threads[24];
	/* document_root stays unset: civetweb serves no file, whatever a path says. */
	const char *options[] = { "listening_ports",
		                  address,
		                  "num_threads",
		                  threads,
		                  "enable_directory_listing",
		                  "no",
		                  "enable_auth_domain_check",
		                  "no",
		                  "decode_url",
		                  "no",
		                  "enable_keep_alive",
		                  "yes",
		                  "keep_alive_timeout_ms",
		                  TEXT(HTTP_KEEP_ALIVE_MS),
		                  "request_timeout_ms",
		                  TEXT(HTTP_TIMEOUT_MS),
		                  "max_request_size",
		                  HEADER_ROOM,
		                  "tcp_nodelay",
		                  "1",
		                  "connection_queue",
		                  "256",
		                  "listen_backlog",
		                  "1024",
		                  NULL };

	snprintf(address, sizeof(address), "%s:%lld", h->app->bind_address, h->app->port);
	snprintf(threads, sizeof(threads), "%lld", h->app->http_threads);
	h->server = mg_start(&callbacks, h, options);
	if (!h->server)
		return err_set(e, ERR_UNAVAILABLE, "cannot listen on %s", address);
	return 0;
}

int http_start(struct app *app, struct http **ret, struct err *e)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ERR_INTERNAL, "out of memory");
	h->app = app;
	pthread_mutex_init(&h->lock, NULL);
	clock_cond_init(&h->idle);
	*ret = h;
	return listen_on(h, e);
}

void http_quiesce(struct http *h)
{
	long long until_ms = clock_mono_ms() + QUIESCE_MS;

	pthread_mutex_lock(&h->lock);
	h->is_closing = true;
	while (h->requests > 0 && clock_cond_wait(&h->idle, &h->lock, until_ms))
		continue;
	pthread_mutex_unlock(&h->lock);
	/* It cuts answers that are being written: all are. */
	if (h->server)
		mg_stop(h->server);
	h->server = NULL;
}

void http_stop(struct http *h)
{
	if (!h)
		return;
	if (h->server)
		mg_stop(h->server);
	pthread_cond_destroy(&h->idle);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
