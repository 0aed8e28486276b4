#include "net/http.h"

#include "base/clock.h"
#include "base/fault.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>

#define STREAM_POLL_MS 200 /* how long a stream's *stop goes unseen, at most */
#define CONN_PER_EASY  2   /* kept alive by one easy handle */
#define IDLE_MAX       64  /* easy handles kept, whatever the caller asks for */

/*
 * An easy handle keeps its own connections, so an idle handle is an idle connection. lock guards
 * idle and idle_count, and is never held across a transfer.
 */
struct http_client {
	pthread_mutex_t lock;
	CURL *idle[IDLE_MAX];
	size_t idle_count;
	size_t idle_max;
	char *unix_socket;
	char *base_url;
	int connect_ms;
	bool (*allows)(const struct sockaddr *addr);
};

/* What one transfer collects. */
struct transfer {
	CURL *easy;
	char *url;
	struct curl_slist *headers;
	/* http_call: the whole answer */
	char *body;
	size_t len, size, max;
	bool is_too_long, is_out_of_memory;
	bool (*allows)(const struct sockaddr *addr); /* of the client */
	bool is_forbidden;
	/* http_stream */
	http_data *on_data;
	void *ctx;
	bool is_ended; /* by on_data */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_init_result;

static void curl_init(void)
{
	curl_init_result = curl_global_init(CURL_GLOBAL_ALL);
}

int http_client_open(const struct http_client_opt *opt, struct http_client **ret, struct err *e)
{
	struct http_client *c;

	pthread_once(&curl_once, curl_init);
	if (curl_init_result != CURLE_OK)
		return err_set(e, ERR_INTERNAL, "libcurl: %s",
		               curl_easy_strerror(curl_init_result));

	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&c->lock, NULL);
	c->idle_max = opt->idle_max < IDLE_MAX ? opt->idle_max : IDLE_MAX;
	c->connect_ms = opt->connect_ms;
	c->allows = opt->allows;
	c->base_url = strdup(opt->base_url ? opt->base_url : "");
	c->unix_socket = opt->unix_socket ? strdup(opt->unix_socket) : NULL;
	if (!c->base_url || (opt->unix_socket && !c->unix_socket)) {
		http_client_close(c);
		return err_set(e, ERR_INTERNAL, "out of memory");
	}
	*ret = c;
	return 0;
}

void http_client_close(struct http_client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->idle_count; i++)
		curl_easy_cleanup(c->idle[i]);
	pthread_mutex_destroy(&c->lock);
	free(c->base_url);
	free(c->unix_socket);
	free(c);
}

static CURL *easy_take(struct http_client *c)
{
	CURL *easy = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->idle_count > 0)
		easy = c->idle[--c->idle_count];
	pthread_mutex_unlock(&c->lock);
	return easy ? easy : curl_easy_init();
}

/* The handle's options name the caller's memory and secrets: they are forgotten at once. */
static void easy_give(struct http_client *c, CURL *easy)
{
	bool is_kept = false;

	curl_easy_reset(easy);
	pthread_mutex_lock(&c->lock);
	if (c->idle_count < c->idle_max) {
		c->idle[c->idle_count++] = easy;
		is_kept = true;
	}
	pthread_mutex_unlock(&c->lock);
	if (!is_kept)
		curl_easy_cleanup(easy);
}

static void text_wipe_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* URL, headers and body may hold tokens. */
static void transfer_done(struct transfer *t)
{
	for (struct curl_slist *h = t->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(t->headers);
	text_wipe_free(t->url);
	if (t->body)
		explicit_bzero(t->body, t->size);
	free(t->body);
}

/* A line break would end a header or the request line early, and begin another. */
static bool is_one_line(const char *s, bool may_have_space)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || (*s == ' ' && !may_have_space))
			return false;
	return true;
}

static int header_add(struct transfer *t, const char *name, const char *value, struct err *e)
{
	struct curl_slist *longer;
	char *line = NULL;

	if (!is_one_line(name, true) || !is_one_line(value, true))
		return err_set(e, ERR_INTERNAL, "a header holds a control character");
	if (asprintf(&line, "%s%s", name, value) < 0)
		return err_set(e, ERR_INTERNAL, "out of memory");
	longer = curl_slist_append(t->headers, line);
	text_wipe_free(line);
	if (!longer)
		return err_set(e, ERR_INTERNAL, "out of memory");
	t->headers = longer;
	return 0;
}

static int headers_make(struct transfer *t, const struct http_req *req, struct err *e)
{
	/* curl's own habits off: it waits for "100 Continue", and calls a body a form. */
	if (header_add(t, "Expect:", "", e) < 0 ||
	    header_add(t, "Content-Type:",
	               !req->body          ? ""
	               : req->content_type ? req->content_type
	                                   : " application/json",
	               e) < 0 ||
	    (req->bearer && header_add(t, "Authorization: Bearer ", req->bearer, e) < 0))
		return -1;
	for (size_t i = 0; req->headers && req->headers[i]; i++)
		if (header_add(t, req->headers[i], "", e) < 0)
			return -1;
	return 0;
}

/* An address, or "localhost": never behind a proxy. A proxy would not see our containers. */
static bool is_direct(const char *url)
{
	unsigned char addr[sizeof(struct in6_addr)];
	CURLU *parts = curl_url();
	char *host = NULL;
	bool direct = false;

	if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		direct = host[0] == '[' || inet_pton(AF_INET, host, addr) == 1 ||
		         strcmp(host, "localhost") == 0;
	curl_free(host);
	curl_url_cleanup(parts);
	return direct;
}

static void method_set(CURL *easy, const struct http_req *req)
{
	const char *method = req->method;

	if (req->body || strcmp(method, "POST") == 0) {
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->body ? req->body : "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
		                 (curl_off_t)(req->body ? req->body_len : 0));
	} else if (strcmp(method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0 &&
	    strcmp(method, "HEAD") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct transfer *t = ctx;

	(void)purpose;
	if (!t->allows(&addr->addr)) {
		t->is_forbidden = true;
		return CURL_SOCKET_BAD;
	}
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

static int transfer_make(struct http_client *c, const struct http_req *req, struct transfer *t,
                         struct err *e)
{
	CURL *easy = t->easy;

	if (!easy || asprintf(&t->url, "%s%s", c->base_url, req->path) < 0) {
		t->url = NULL;
		return err_set(e, ERR_INTERNAL, "out of memory");
	}
	if (!is_one_line(t->url, false))
		return err_set(e, ERR_INTERNAL, "the URL holds a space or a control character");
	if (headers_make(t, req, e) < 0)
		return -1;

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)fault_patience(c->connect_ms));
	curl_easy_setopt(easy, CURLOPT_MAXCONNECTS, (long)CONN_PER_EASY);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_URL, t->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	if (c->unix_socket)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, c->unix_socket);
	t->allows = c->allows;
	if (c->allows) {
		curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
		curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
	}
	if (c->unix_socket || c->allows || is_direct(t->url))
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	method_set(easy, req);
	return 0;
}

/* curl's texts for its codes hold nothing of the URL. */
static int transfer_failed(const struct transfer *t, CURLcode code, struct err *e)
{
	curl_off_t sent_us = 0;

	if (t->is_forbidden)
		return err_set(e, ERR_FORBIDDEN, "an address that may not be connected to");
	if (t->is_too_long)
		return err_set(e, ERR_UPSTREAM, "the answer is longer than %zu bytes", t->max);
	if (t->is_out_of_memory || code == CURLE_OUT_OF_MEMORY)
		return err_set(e, ERR_INTERNAL, "out of memory");

	curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		/* Nothing was asked yet: so it is away, and asking again does no harm. */
		if (sent_us == 0)
			return err_set(e, ERR_UNAVAILABLE, "no connection in time");
		return err_set(e, ERR_TIMEOUT, "no answer in time");
	case CURLE_URL_MALFORMAT:
		return err_set(e, ERR_INTERNAL, "not a URL of http or https");
	case CURLE_UNSUPPORTED_PROTOCOL: /* the URL's, or after it was sent the answer's */
		if (sent_us == 0)
			return err_set(e, ERR_INTERNAL, "not a URL of http or https");
		return err_set(e, ERR_UPSTREAM, "the answer is not HTTP");
	case CURLE_ABORTED_BY_CALLBACK:
		return err_set(e, ERR_UNAVAILABLE, "ended before it was answered");
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_PARTIAL_FILE:
	case CURLE_BAD_CONTENT_ENCODING:
		return err_set(e, ERR_UPSTREAM, "the answer is not HTTP");
	default:
		return err_set(e, ERR_UNAVAILABLE, "%s", curl_easy_strerror(code));
	}
}

static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
	struct transfer *t = ctx;
	size_t size = t->size ? t->size : 4096;
	char *larger;

	(void)one;
	if (len > t->max - t->len) {
		t->is_too_long = true;
		return 0;
	}
	while (size < t->len + len)
		size *= 2;
	if (size > t->size) {
		larger = realloc(t->body, size);
		if (!larger) {
			t->is_out_of_memory = true;
			return 0;
		}
		t->body = larger;
		t->size = size;
	}
	memcpy(t->body + t->len, data, len);
	t->len += len;
	return len;
}

/* Set by another thread; it guards nothing but itself. */
static bool is_stopped(const volatile bool *stop)
{
	return stop && __atomic_load_n(stop, __ATOMIC_RELAXED);
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now)
{
	const struct http_req *req = ctx;

	(void)total;
	(void)now;
	(void)up_total;
	(void)up_now;
	return is_stopped(req->stop);
}

static int call_run(struct transfer *t, const struct http_req *req, struct arena *a,
                    struct http_res *ret, struct err *e)
{
	struct http_res res = { .body_len = 0 };
	long status = 0;
	CURLcode code;

	t->max = req->answer_max;
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)fault_patience(req->timeout_ms));
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	if (req->stop) {
		curl_easy_setopt(t->easy, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(t->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(t->easy, CURLOPT_XFERINFODATA, (void *)req);
	}
	code = curl_easy_perform(t->easy);
	if (code != CURLE_OK || t->is_forbidden)
		return transfer_failed(t, code, e);

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	res.status = (int)status;
	res.body_len = t->len;
	res.body = arena_strndup(a, t->body ? t->body : "", t->len);
	if (!res.body)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = res;
	return 0;
}

int http_call(struct http_client *c, const struct http_req *req, struct arena *a,
              struct http_res *ret, struct err *e)
{
	struct transfer t = { .easy = easy_take(c) };
	int r = transfer_make(c, req, &t, e);

	if (r == 0)
		r = call_run(&t, req, a, ret, e);
	if (t.easy)
		easy_give(c, t.easy);
	transfer_done(&t);
	return r;
}

static size_t on_stream(char *data, size_t one, size_t len, void *ctx)
{
	struct transfer *t = ctx;
	long status = 0;

	(void)one;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 != 2)
		return len; /* a refusal's text; the status says enough */
	if (t->on_data(data, len, t->ctx))
		return len;
	t->is_ended = true;
	return 0;
}

/* The end of a stream that no one asked for. */
static int stream_result(struct transfer *t, CURLM *multi, struct err *e)
{
	long status = 0;
	CURLMsg *m;
	int left;

	if (t->is_ended)
		return 0;
	m = curl_multi_info_read(multi, &left);
	if (m && m->data.result != CURLE_OK)
		return transfer_failed(t, m->data.result, e);
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 != 2)
		return err_set(e, ERR_UPSTREAM, "answered with status %ld", status);
	return 0;
}

/* curl_easy_perform() looks up once a second only: hence the multi interface. */
static int stream_run(struct transfer *t, CURLM *multi, const struct http_req *req,
                      const volatile bool *stop, struct err *e)
{
	long long until_ms = clock_mono_ms() + fault_patience(req->timeout_ms);
	int running = 1;
	long status = 0;

	while (!is_stopped(stop)) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return err_set(e, ERR_INTERNAL, "libcurl cannot run the stream");
		if (running == 0)
			return stream_result(t, multi, e);
		if (status == 0)
			curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status == 0 && req->timeout_ms > 0 && clock_mono_ms() > until_ms)
			return err_set(e, ERR_TIMEOUT, "no answer in time");
		if (curl_multi_poll(multi, NULL, 0, STREAM_POLL_MS, NULL) != CURLM_OK)
			return err_set(e, ERR_INTERNAL, "libcurl cannot wait for the stream");
	}
	return 0;
}

int http_stream(struct http_client *c, const struct http_req *req, http_data *on_data, void *ctx,
                const volatile bool *stop, struct err *e)
{
	struct transfer t = { .easy = easy_take(c), .on_data = on_data, .ctx = ctx };
	CURLM *multi = curl_multi_init();
	int r = transfer_make(c, req, &t, e);

	if (r == 0 && !multi)
		r = err_set(e, ERR_INTERNAL, "out of memory");
	if (r == 0) {
		curl_easy_setopt(t.easy, CURLOPT_WRITEFUNCTION, on_stream);
		curl_easy_setopt(t.easy, CURLOPT_WRITEDATA, &t);
		curl_multi_add_handle(multi, t.easy);
		r = stream_run(&t, multi, req, stop, e);
		curl_multi_remove_handle(multi, t.easy);
	}
	if (t.easy)
		curl_easy_cleanup(t.easy); /* its connection is in the middle of an answer */
	if (multi)
		curl_multi_cleanup(multi);
	transfer_done(&t);
	return r;
}
