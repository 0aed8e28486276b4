#include "reply.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "bus/envelope.h"
#include "origin.h"

#include <stdarg.h>

#define HEADER_MAX 8192  /* bytes; two tokens as cookies are most of it */
#define WRITE_MAX  24576 /* bytes of header and body in one write */

/* The API answers programs: nothing of an answer may be shown, framed, guessed at or kept. */
static const char always[] =
	"Cache-Control: no-store\r\n"
	"X-Content-Type-Options: nosniff\r\n"
	"Content-Security-Policy: default-src 'none'; object-src 'none'; base-uri 'none'; "
	"form-action 'none'; frame-ancestors 'none'\r\n"
	"Cross-Origin-Resource-Policy: same-origin\r\n"
	"X-Frame-Options: DENY\r\n"
	"Referrer-Policy: no-referrer\r\n"
	"Vary: Origin\r\n";

struct text {
	char *data;
	size_t len, size;
};

/* What does not fit is cut; HEADER_MAX is more than all of it together. */
static __attribute__((format(printf, 2, 3))) void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->data + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len = t->len + (size_t)n < t->size ? t->len + (size_t)n : t->size - 1;
}

static void add_date(struct text *t)
{
	time_t now = (time_t)(clock_now_ms() / 1000);
	struct tm tm;
	size_t room = t->size - t->len;

	gmtime_r(&now, &tm);
	t->len += strftime(t->data + t->len, room, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

static void add_cors(struct text *t, const struct exchange *x)
{
	if (!origin_is_allowed(x->app->origins, x->head.origin))
		return;
	add(t,
	    "Access-Control-Allow-Origin: %s\r\n"
	    "Access-Control-Allow-Credentials: true\r\n"
	    "Access-Control-Expose-Headers: Content-Disposition, ETag, X-Request-Id, Retry-After, "
	    "RateLimit-Limit, "
	    "RateLimit-Remaining, RateLimit-Reset\r\n",
	    x->head.origin);
}

static void add_limit(struct text *t, const struct limit_state *l)
{
	if (l->is_counted)
		add(t,
		    "RateLimit-Limit: %lld\r\nRateLimit-Remaining: %lld\r\n"
		    "RateLimit-Reset: %lld\r\n",
		    l->max, l->remaining, (l->reset_us + 999999) / 1000000);
}

static void header_begin(struct text *t, struct exchange *x, int status)
{
	static const enum metric_id by_class[] = { METRIC_HTTP_2XX, METRIC_HTTP_3XX,
		                                   METRIC_HTTP_4XX, METRIC_HTTP_5XX };

	assert(status >= 200 && status <= 599);
	metric_add(by_class[status / 100 - 2], 1);
	x->status = status;
	add(t, "HTTP/1.1 %d %s\r\n", status, mg_get_response_code_text(x->conn, status));
	add_date(t);
	add(t, "Content-Type: %s\r\n%sX-Request-Id: %s\r\n", x->type ? x->type : "application/json",
	    always, x->ctx.trace_id);
	if (origin_is_https(x->app->origins))
		add(t, "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n");
	add_cors(t, x);
	add_limit(t, &x->limit);
	if (status == 401)
		add(t, "WWW-Authenticate: Bearer realm=\"zaki\"\r\n");
	if (status == 405)
		add(t, "Allow: %s\r\n", x->allow);
	if (x->tag && status < 300)
		add(t, "ETag: \"%s\"\r\n", x->tag);
	if (x->cookies && status < 300)
		add(t, "%s", x->cookies);
	/* Signed out: the browser keeps nothing of what was shown. */
	if (x->cookies && status < 300 && x->route->cookies == COOKIES_CLEAR)
		add(t, "Clear-Site-Data: \"cache\", \"storage\"\r\n");
	add(t, "Connection: %s\r\n",
	    x->must_close || !x->head.keeps_alive ? "close" : "keep-alive");
}

void reply_send(struct exchange *x, int status, const char *body, size_t len, int retry_after_s)
{
	char out[WRITE_MAX];
	struct text t = { .data = out, .size = HEADER_MAX };

	header_begin(&t, x, status);
	/* Also where a service did not say: what passes by itself is worth another try. */
	if (retry_after_s == 0 &&
	    (status == 429 || status == 502 || status == 503 || status == 504))
		retry_after_s = 1;
	if (retry_after_s > 0)
		add(&t, "Retry-After: %d\r\n", retry_after_s);
	add(&t, "Content-Length: %zu\r\n\r\n", len);
	if (x->is_head)
		len = 0;
	if (len <= sizeof(out) - t.len) {
		memcpy(out + t.len, body, len);
		t.len += len;
		len = 0;
	}
	if (mg_write(x->conn, out, t.len) == (int)t.len && len > 0)
		(void)mg_write(x->conn, body, len);
	if (x->cookies)
		explicit_bzero(out, t.len);
}

/* HTTP/1.0 knows no chunks: the end of the connection ends the answer. */
static bool has_chunks(const struct exchange *x)
{
	return !x->info->http_version || strcmp(x->info->http_version, "1.0") != 0;
}

void reply_stream_begin(struct exchange *x, const char *type, const char *file)
{
	char out[HEADER_MAX];
	struct text t = { .data = out, .size = sizeof(out) };

	x->type = type;
	x->must_close |= !has_chunks(x);
	header_begin(&t, x, x->route->success);
	add(&t, "Content-Disposition: attachment; filename=\"%s\"\r\n%s\r\n", file,
	    has_chunks(x) ? "Transfer-Encoding: chunked\r\n" : "");
	(void)mg_write(x->conn, out, t.len);
}

int reply_stream(struct exchange *x, const void *data, size_t len)
{
	int n = has_chunks(x) ? mg_send_chunk(x->conn, data, (unsigned)len)
	                      : mg_write(x->conn, data, len);

	return n > 0 ? 0 : -1;
}

void reply_stream_end(struct exchange *x)
{
	if (has_chunks(x) && mg_send_chunk(x->conn, "", 0) < 0)
		x->must_close = true;
}

void reply_error(struct exchange *x, const struct err *e)
{
	OWN(json_text) char *text = envelope_error(e);

	reply_send(x, err_http(e->code), text ? text : "", text ? strlen(text) : 0,
	           e->retry_after_s);
}

void reply_options(struct exchange *x)
{
	char out[HEADER_MAX];
	struct text t = { .data = out, .size = sizeof(out) };

	header_begin(&t, x, 204);
	add(&t, "Allow: %s\r\n", x->allow);
	if (x->head.cors_method && origin_is_allowed(x->app->origins, x->head.origin))
		add(&t,
		    "Access-Control-Allow-Methods: %s\r\n"
		    "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, "
		    "If-Match, If-None-Match, traceparent\r\n"
		    "Access-Control-Max-Age: 600\r\n",
		    x->allow);
	add(&t, "\r\n");
	(void)mg_write(x->conn, out, t.len);
}
