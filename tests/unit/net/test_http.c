#include "net/http.h"

#include "base/clock.h"
#include "unit/net/httpd.h"

#define WAIT_MS 60000 /* for what surely comes */

#define OK(body, len) "HTTP/1.1 200 OK\r\nContent-Length: " len "\r\n\r\n" body

/* clang-format off */
static const struct httpd_answer answers[] = {
	{ "/ok",       OK("hello", "5"),                                                       HTTPD_KEEP },
	{ "/empty",    "HTTP/1.1 204 No Content\r\n\r\n",                                      HTTPD_KEEP },
	{ "/missing",  "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",              HTTPD_KEEP },
	{ "/chunked",  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	               "3\r\none\r\n5\r\n two \r\n0\r\n\r\n",                                  HTTPD_KEEP },
	{ "/redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n",     HTTPD_KEEP },
	{ "/twenty",   OK("01234567890123456789", "20"),                                       HTTPD_KEEP },
	{ "/unsized",  "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234567890123456789",     HTTPD_CLOSE },
	{ "/silent",   "",                                                                     HTTPD_SILENT },
	{ "/half",     "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",                    HTTPD_SILENT },
	{ "/cut",      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",                    HTTPD_CLOSE },
	{ "/nothing",  "",                                                                     HTTPD_CLOSE },
	{ "/garbage",  "SSH-2.0-OpenSSH_9.2\r\n",                                              HTTPD_CLOSE },
	{ "/lines",    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	               "4\r\none\n\r\n4\r\ntwo\n\r\n",                                         HTTPD_SILENT },
	{ "/ends",     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\none\n",                    HTTPD_KEEP },
	{ "/refused",  "HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nno!\n",           HTTPD_KEEP },
};
/* clang-format on */

struct fixture {
	struct httpd server;
	struct http_client *client;
	struct arena a;
	char base[64];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct http_client_opt opt = { .connect_ms = WAIT_MS, .idle_max = 2 };
	struct err e = ERR_INIT;

	httpd_start(&f->server, answers, COUNT(answers), NULL);
	snprintf(f->base, sizeof(f->base), "http://127.0.0.1:%d", f->server.port);
	opt.base_url = f->base;
	arena_init(&f->a, 1024 * 1024);
	*state = f;
	return http_client_open(&opt, &f->client, &e);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_client_close(f->client);
	httpd_stop(&f->server);
	arena_done(&f->a);
	free(f);
	return 0;
}

static int get_within(struct fixture *f, const char *path, int ms, struct http_res *res,
                      struct err *e)
{
	struct http_req req = { .method = "GET", .path = path, .timeout_ms = ms, .answer_max = 10 };

	return http_call(f->client, &req, &f->a, res, e);
}

static int get(struct fixture *f, const char *path, struct http_res *res, struct err *e)
{
	return get_within(f, path, WAIT_MS, res, e);
}

static const struct case_of {
	const char *what, *path;
	int status;
	const char *body;   /* of an answer */
	enum err_code code; /* of a failure */
} cases[] = {
	{ "an answer", "/ok", 200, "hello", ERR_NONE },
	{ "without a body", "/empty", 204, "", ERR_NONE },
	{ "a refusal is an answer", "/missing", 404, "gone", ERR_NONE },
	{ "in chunks", "/chunked", 200, "one two ", ERR_NONE },
	{ "a redirect is not followed", "/redirect", 302, "", ERR_NONE },
	{ "longer than its limit, announced", "/twenty", 0, NULL, ERR_UPSTREAM },
	{ "longer than its limit, unannounced", "/unsized", 0, NULL, ERR_UPSTREAM },
	{ "no answer", "/silent", 0, NULL, ERR_TIMEOUT },
	{ "half an answer", "/half", 0, NULL, ERR_TIMEOUT },
	{ "an answer cut short", "/cut", 0, NULL, ERR_UPSTREAM },
	{ "a connection that ends", "/nothing", 0, NULL, ERR_UNAVAILABLE },
	{ "another protocol", "/garbage", 0, NULL, ERR_UPSTREAM },
	{ "a path with a space", "/ok HTTP/1.1\r\nX:", 0, NULL, ERR_INTERNAL },
};

/* Where no answer is to come in time, a machine that stands still may leave no time for a connection
 * either, which is told as what it is: once more, then. */
static int get_failing(struct fixture *f, const struct case_of *c, struct http_res *res,
                       struct err *e)
{
	bool is_late = c->code == ERR_TIMEOUT;
	int r, tries = 0;

	do {
		*e = ERR_INIT;
		r = get_within(f, c->path, is_late ? 300 : WAIT_MS, res, e);
	} while (is_late && e->code == ERR_UNAVAILABLE && ++tries < 20);
	return r;
}

static void every_answer_has_its_code(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_res res = { .status = -1 };
		struct err e = ERR_INIT;

		print_message("  %s\n", cases[i].what);
		if (cases[i].code) {
			assert_fails(get_failing(f, &cases[i], &res, &e), &e, cases[i].code);
			assert_int_equal(res.status, -1);
			assert_null(strstr(e.msg, cases[i].path));
			continue;
		}
		assert_ok(get(f, cases[i].path, &res, &e), &e);
		assert_int_equal(res.status, cases[i].status);
		assert_string_equal(res.body, cases[i].body);
		assert_int_equal(res.body_len, strlen(cases[i].body));
	}
}

static void request_is_sent_as_asked(void **state)
{
	static const char *const headers[] = { "X-One: 1", "X-Two: 2", NULL };
	struct fixture *f = *state;
	struct http_req req = { .method = "PUT",
		                .path = "/ok",
		                .body = "{\"a\":1}",
		                .body_len = 7,
		                .bearer = "secret",
		                .timeout_ms = WAIT_MS,
		                .answer_max = 100,
		                .headers = headers };
	struct http_res res;
	struct err e = ERR_INIT;

	assert_ok(http_call(f->client, &req, &f->a, &res, &e), &e);
	assert_memory_equal(f->server.last, "PUT /ok HTTP/1.1\r\n", 18);
	assert_non_null(strstr(f->server.last, "\r\nAuthorization: Bearer secret\r\n"));
	assert_non_null(strstr(f->server.last, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(f->server.last, "\r\nX-Two: 2\r\n"));
	assert_null(strcasestr(f->server.last, "expect:"));
	assert_string_equal(strstr(f->server.last, "\r\n\r\n") + 4, "{\"a\":1}");

	/* Nothing of it is left for the next call on the same handle. */
	assert_ok(get(f, "/ok", &res, &e), &e);
	assert_memory_equal(f->server.last, "GET /ok HTTP/1.1\r\n", 18);
	assert_null(strstr(f->server.last, "secret"));

	req = (struct http_req){
		.method = "POST", .path = "/ok", .timeout_ms = WAIT_MS, .answer_max = 100
	};
	assert_ok(http_call(f->client, &req, &f->a, &res, &e), &e);
	assert_non_null(strstr(f->server.last, "\r\nContent-Length: 0\r\n"));
	assert_null(strcasestr(f->server.last, "content-type:"));
}

static void header_with_a_line_break_is_refused(void **state)
{
	struct fixture *f = *state;
	struct http_req req = { .method = "GET",
		                .path = "/ok",
		                .bearer = "a\r\nX-Evil: 1",
		                .timeout_ms = WAIT_MS,
		                .answer_max = 100 };
	struct http_res res;
	struct err e = ERR_INIT;

	assert_fails(http_call(f->client, &req, &f->a, &res, &e), &e, ERR_INTERNAL);
	assert_int_equal(f->server.request_count, 0);
	assert_null(strstr(e.msg, "Evil"));
}

static void connection_is_used_again(void **state)
{
	struct fixture *f = *state;
	struct http_res res;
	struct err e = ERR_INIT;

	for (int i = 0; i < 5; i++)
		assert_ok(get(f, "/ok", &res, &e), &e);
	assert_int_equal(f->server.request_count, 5);
	assert_int_equal(f->server.conn_count, 1);
}

static void server_that_is_away_is_unavailable(void **state)
{
	struct http_client_opt opt = { .connect_ms = WAIT_MS, .base_url = "http://127.0.0.1:1" };
	struct http_client_opt gone = { .connect_ms = WAIT_MS,
		                        .base_url = "http://localhost",
		                        .unix_socket = "/nonexistent/socket" };
	const struct http_client_opt *all[] = { &opt, &gone };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(all); i++) {
		struct http_req req = {
			.method = "GET", .path = "/x", .timeout_ms = WAIT_MS, .answer_max = 10
		};
		struct http_client *c = NULL;
		struct err e = ERR_INIT;
		struct http_res res;

		assert_ok(http_client_open(all[i], &c, &e), &e);
		assert_fails(http_call(c, &req, &f->a, &res, &e), &e, ERR_UNAVAILABLE);
		http_client_close(c);
	}
}

static void only_http_is_spoken(void **state)
{
	struct http_client_opt opt = { .connect_ms = WAIT_MS, .base_url = "" };
	static const char *const urls[] = { "file:///etc/passwd", "ftp://127.0.0.1/x",
		                            "nonsense:" };
	struct fixture *f = *state;
	struct http_client *c = NULL;
	struct err e = ERR_INIT;

	assert_ok(http_client_open(&opt, &c, &e), &e);
	for (size_t i = 0; i < COUNT(urls); i++) {
		struct http_req req = {
			.method = "GET", .path = urls[i], .timeout_ms = WAIT_MS, .answer_max = 10000
		};
		struct http_res res;

		assert_fails(http_call(c, &req, &f->a, &res, &e), &e, ERR_INTERNAL);
	}
	http_client_close(c);
}

static void proxy_is_not_asked_for_an_address(void **state)
{
	struct fixture *f = *state;
	struct http_res res;
	struct err e = ERR_INIT;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	assert_ok(get(f, "/ok", &res, &e), &e);
	unsetenv("http_proxy");
}

static bool allows_none(const struct sockaddr *addr)
{
	(void)addr;
	return false;
}

static bool allows_loopback(const struct sockaddr *addr)
{
	return addr->sa_family == AF_INET;
}

static void only_allowed_addresses_are_connected_to(void **state)
{
	struct fixture *f = *state;
	struct http_client_opt opt = { .base_url = f->base,
		                       .connect_ms = WAIT_MS,
		                       .allows = allows_none };
	const struct http_req req = {
		.method = "GET", .path = "/ok", .timeout_ms = WAIT_MS, .answer_max = 100
	};
	struct http_client *c = NULL;
	struct http_res res;
	struct err e = ERR_INIT;
	struct arena a;

	arena_init(&a, 4096);
	assert_ok(http_client_open(&opt, &c, &e), &e);
	assert_fails(http_call(c, &req, &a, &res, &e), &e, ERR_FORBIDDEN);
	http_client_close(c);
	assert_int_equal(f->server.request_count, 0);
	opt.allows = allows_loopback;
	e = ERR_INIT;
	assert_ok(http_client_open(&opt, &c, &e), &e);
	assert_ok(http_call(c, &req, &a, &res, &e), &e);
	http_client_close(c);
	arena_done(&a);
}

static void unix_socket_is_reached(void **state)
{
	char path[] = "/tmp/test-http-XXXXXX", name[64];
	struct http_req req = {
		.method = "GET", .path = "/ok", .timeout_ms = WAIT_MS, .answer_max = 10
	};
	struct http_client_opt opt = { .connect_ms = WAIT_MS,
		                       .base_url = "http://localhost",
		                       .unix_socket = name };
	struct fixture *f = *state;
	struct http_client *c = NULL;
	struct httpd server;
	struct err e = ERR_INIT;
	struct http_res res;

	assert_non_null(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/s", path);
	httpd_start(&server, answers, COUNT(answers), name);
	assert_ok(http_client_open(&opt, &c, &e), &e);
	assert_ok(http_call(c, &req, &f->a, &res, &e), &e);
	assert_string_equal(res.body, "hello");
	http_client_close(c);
	httpd_stop(&server);
	unlink(name);
	rmdir(path);
}

struct stopper {
	struct httpd *server;
	bool stop;
};

/* Once the server has the request. */
static void *set_soon(void *ctx)
{
	struct stopper *s = ctx;
	int count = 0;

	for (int i = 0; i < WAIT_MS && count == 0; i++) {
		clock_sleep_ms(1);
		pthread_mutex_lock(&s->server->lock);
		count = s->server->request_count;
		pthread_mutex_unlock(&s->server->lock);
	}
	__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
	return NULL;
}

static void call_ends_when_it_is_no_longer_wanted(void **state)
{
	struct fixture *f = *state;
	struct stopper s = { &f->server, false };
	struct http_req req = { .method = "GET",
		                .path = "/silent",
		                .timeout_ms = 3 * WAIT_MS,
		                .answer_max = 10,
		                .stop = &s.stop };
	struct err e = ERR_INIT;
	struct http_res res;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, set_soon, &s), 0);
	/* Not by its time-out, which is told as one. */
	assert_fails(http_call(f->client, &req, &f->a, &res, &e), &e, ERR_UNAVAILABLE);
	pthread_join(thread, NULL);

	/* The next one on the same handle is not ended with it. */
	assert_ok(get(f, "/ok", &res, &e), &e);
}

/* ---- streams ---- */

struct seen {
	char text[64];
	size_t len, enough;  /* false is answered at this many bytes */
	volatile bool *stop; /* set then, instead */
};

static bool on_data(const char *data, size_t len, void *ctx)
{
	struct seen *s = ctx;

	assert_true(s->len + len < sizeof(s->text));
	memcpy(s->text + s->len, data, len);
	s->len += len;
	if (s->stop && s->len >= s->enough)
		*s->stop = true;
	return s->stop || s->len < s->enough;
}

static void stream_ends_as_it_is_told(void **state)
{
	struct fixture *f = *state;
	volatile bool stop = false;
	/* clang-format off */
	const struct {
		const char *what, *path;
		size_t enough;
		volatile bool *stop;
		const char *seen;
		enum err_code code;
	} all[] = {
		{ "by its reader",      "/lines",   8,  NULL,  "one\ntwo\n", ERR_NONE },
		{ "from outside",       "/lines",   8,  &stop, "one\ntwo\n", ERR_NONE },
		{ "by the server",      "/ends",    99, NULL,  "one\n",      ERR_NONE },
		{ "cut by the server",  "/cut",     99, NULL,  "half",       ERR_UPSTREAM },
		{ "before it begins",   "/silent",  99, NULL,  "",           ERR_TIMEOUT },
		{ "refused",            "/refused", 99, NULL,  "",           ERR_UPSTREAM },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(all); i++) {
		struct http_req req = { .method = "GET",
			                .path = all[i].path,
			                .timeout_ms = all[i].code == ERR_TIMEOUT ? 400 : WAIT_MS };
		struct seen seen = { .enough = all[i].enough, .stop = all[i].stop };
		struct err e = ERR_INIT;
		int r;

		print_message("  %s\n", all[i].what);
		stop = false;
		r = http_stream(f->client, &req, on_data, &seen, all[i].stop, &e);
		assert_int_equal(r, all[i].code ? -1 : 0);
		assert_string_equal(err_name(e.code), err_name(all[i].code));
		assert_string_equal(seen.text, all[i].seen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_answer_has_its_code, setup, teardown),
		cmocka_unit_test_setup_teardown(request_is_sent_as_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(header_with_a_line_break_is_refused, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(connection_is_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(server_that_is_away_is_unavailable, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(only_http_is_spoken, setup, teardown),
		cmocka_unit_test_setup_teardown(proxy_is_not_asked_for_an_address, setup, teardown),
		cmocka_unit_test_setup_teardown(only_allowed_addresses_are_connected_to, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(unix_socket_is_reached, setup, teardown),
		cmocka_unit_test_setup_teardown(call_ends_when_it_is_no_longer_wanted, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(stream_ends_as_it_is_told, setup, teardown),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
