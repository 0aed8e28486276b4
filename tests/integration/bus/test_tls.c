/* NATS and Redis by TLS: servers of this test's own, with certificates of a CA of its own. */

#include "child.h"
#include "integration/store/away.h"

#include "bus/bus.h"
#include "store/redis.h"
#include "svc/trust.h"

#include <sodium.h>

#define TRIES  5
#define COMMON "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"

enum shown { RIGHT, ELSEWHERE, NOTHING, SHOWN_COUNT }; /* which certificate a server has */

static char dir[64];

static struct {
	char paths[8][128];
	size_t path_count;
	struct child nats[SHOWN_COUNT], redis[SHOWN_COUNT];
	struct seal seal;
} f;

static const char *const names[SHOWN_COUNT] = { "right", "elsewhere", "nothing" };

static const char *path(const char *name, const char *suffix)
{
	char *text = f.paths[f.path_count++ % COUNT(f.paths)];

	snprintf(text, sizeof(f.paths[0]), "%s/%s.%s", dir, name, suffix);
	return text;
}

static void openssl(const char *const *argv)
{
	int status = -1;

	assert_true(waitpid(child_run(argv, path("openssl", "log")), &status, 0) > 0);
	assert_int_equal(status, 0);
}

static void make_ca(const char *name)
{
	const char *argv[] = { "openssl", "req",
		               "-x509",   COMMON,
		               "-subj",   "/CN=CA of this test",
		               "-keyout", path(name, "key"),
		               "-out",    path(name, "pem"),
		               NULL };

	openssl(argv);
}

static void make_certificate(const char *name, const char *for_whom)
{
	const char *argv[] = { "openssl", "req",
		               "-x509",   COMMON,
		               "-subj",   "/CN=server",
		               "-addext", for_whom,
		               "-CA",     path("ca", "pem"),
		               "-CAkey",  path("ca", "key"),
		               "-addext", "basicConstraints=critical,CA:false",
		               "-keyout", path(name, "key"),
		               "-out",    path(name, "pem"),
		               NULL };

	openssl(argv);
}

static void start_nats(enum shown shown)
{
	struct child *c = &f.nats[shown];
	char port[8];
	const char *argv[] = { "nats-server", "-a",    "127.0.0.1", "-p", port,       "-js", "-sd",
		               c->dir,        "--tls", "--tlscert", NULL, "--tlskey", NULL,  NULL };

	if (shown == NOTHING) {
		child_start_nats(c);
		return;
	}
	child_name(c, "tls");
	snprintf(port, sizeof(port), "%d", c->port);
	argv[10] = path(names[shown], "pem");
	argv[12] = path(names[shown], "key");
	c->pid = child_run(argv, NULL);
	child_wait_port(c);
}

static void start_redis(enum shown shown)
{
	struct child *c = &f.redis[shown];
	char port[8];
	const char *argv[] = { "redis-server",
		               "--bind",
		               "127.0.0.1",
		               "--port",
		               "0",
		               "--tls-port",
		               port,
		               "--tls-auth-clients",
		               "no",
		               "--save",
		               "",
		               "--dir",
		               c->dir,
		               "--requirepass",
		               "p:w",
		               "--tls-cert-file",
		               NULL,
		               "--tls-key-file",
		               NULL,
		               NULL };

	if (shown == NOTHING) {
		child_start_redis(c);
		return;
	}
	child_name(c, "rediss");
	snprintf(port, sizeof(port), "%d", c->port);
	argv[16] = path(names[shown], "pem");
	argv[18] = path(names[shown], "key");
	c->pid = child_run(argv, NULL);
	child_wait_port(c);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	snprintf(dir, sizeof(dir), "/tmp/zaki-test-tls-%d", (int)getpid());
	if (sodium_init() < 0 || seal_init(&f.seal, "0123456789abcdef0123456789abcdef", &e) < 0 ||
	    mkdir(dir, 0700) != 0)
		return -1;
	make_ca("ca");
	make_ca("other");
	make_certificate("right", "subjectAltName=DNS:localhost,IP:127.0.0.1");
	make_certificate("elsewhere", "subjectAltName=DNS:elsewhere.example,IP:127.0.0.2");
	for (enum shown shown = RIGHT; shown < SHOWN_COUNT; shown++) {
		start_nats(shown);
		start_redis(shown);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (enum shown shown = RIGHT; shown < SHOWN_COUNT; shown++) {
		child_end(&f.nats[shown]);
		child_end(&f.redis[shown]);
	}
	waitpid(child_run((const char *[]){ "rm", "-rf", dir, NULL }, NULL), NULL, 0);
	nats_CloseAndWait(5000);
	return 0;
}

static const struct {
	const char *what, *trusted;
	enum shown shown;
	const char *host;
	const char *reason; /* a word of it; NULL: it is spoken to */
} cases[] = {
	{ "its name", "ca", RIGHT, "localhost", NULL },
	{ "its address", "ca", RIGHT, "127.0.0.1", NULL },
	{ "of another CA", "other", RIGHT, "localhost", "certificate" },
	{ "of another CA, by address", "other", RIGHT, "127.0.0.1", "certificate" },
	{ "of nobody whom the system knows", "", RIGHT, "localhost", "certificate" },
	{ "for another name", "ca", ELSEWHERE, "localhost", "ismatch" },
	{ "for another address", "ca", ELSEWHERE, "127.0.0.1", "ismatch" },
	{ "none: it speaks in the clear", "ca", NOTHING, "localhost", "" },
};

static void trust(const char *ca)
{
	const struct trust_conf conf = { ca[0] ? path(ca, "pem") : "" };
	struct err e = ERR_INIT;

	unsetenv("SSL_CERT_FILE");
	unsetenv("SSL_CERT_DIR");
	assert_ok(trust_load(&conf, &e), &e);
}

/* On a machine that has other things to do, one try may take too long, which is no reason of its own. */
static bool is_as_it_should(int i, int result, const struct err *e)
{
	print_message("    %s\n", result == 0 ? "spoken to" : e->msg);
	if (!cases[i].reason)
		return result == 0;
	assert_int_equal(result, -1);
	assert_string_equal(err_name(e->code), err_name(ERR_UNAVAILABLE));
	return strstr(e->msg, cases[i].reason) != NULL;
}

static bool try_bus(int i)
{
	char url[64];
	struct bus_opt opt = { url, "bustest", &f.seal, cases[i].reason ? 150 : 60000 };
	struct bus *b = NULL;
	struct err e = ERR_INIT;
	int result;

	snprintf(url, sizeof(url), "tls://%s:%d", cases[i].host, f.nats[cases[i].shown].port);
	result = bus_open(&opt, &b, &e);
	if (result == 0) {
		assert_int_equal(natsConnection_FlushTimeout(bus_nats(b), 60000), NATS_OK);
		bus_close(b);
	}
	return is_as_it_should(i, result, &e);
}

static bool try_redis(int i)
{
	OWN(redis_reply) redisReply *reply = NULL;
	char url[64];
	struct redis *r = NULL;
	struct err e = ERR_INIT;
	int result;

	snprintf(url, sizeof(url), "rediss://:p%%3aw@%s:%d/1", cases[i].host,
	         f.redis[cases[i].shown].port);
	/* In the clear it waits for the rest of a line, and says nothing. */
	be_patient(cases[i].shown == NOTHING ? 1 : PATIENCE);
	assert_ok(redis_open(url, 1, &r, &e), &e);
	result = REDIS_CALL(r, &reply, &e, "PING");
	redis_close(r);
	be_patient(PATIENCE);
	return is_as_it_should(i, result, &e);
}

static void try_all(bool (*once)(int))
{
	for (int i = 0; i < (int)COUNT(cases); i++) {
		bool is_good = false;

		print_message("  %s\n", cases[i].what);
		trust(cases[i].trusted);
		for (int n = 0; n < TRIES && !is_good; n++)
			is_good = once(i);
		assert_true(is_good);
	}
}

static void the_bus_is_spoken_to_as_its_certificate_says(void **state)
{
	(void)state;
	try_all(try_bus);
}

static void redis_is_spoken_to_as_its_certificate_says(void **state)
{
	(void)state;
	try_all(try_redis);
}

static struct redis *open_redis(void)
{
	struct redis *r = NULL;
	struct err e = ERR_INIT;
	char url[64];

	trust("ca");
	snprintf(url, sizeof(url), "rediss://:p%%3aw@localhost:%d", f.redis[RIGHT].port);
	assert_ok(redis_open(url, 2, &r, &e), &e);
	return r;
}

/* Longer than a record of TLS, and than what one read takes. */
static void long_values_come_back_whole(void **state)
{
	enum { LEN = 300000 };
	OWN(mem) char *value = calloc(1, LEN);
	const char *args[] = { "SET", "long", value };
	const size_t lens[] = { 3, 4, LEN };
	struct redis *r = open_redis();
	struct err e = ERR_INIT;

	(void)state;
	randombytes_buf(value, LEN);
	for (int i = 0; i < 3; i++) {
		OWN(redis_reply) redisReply *ok = NULL;
		OWN(redis_reply) redisReply *got = NULL;
		OWN(redis_reply) redisReply *bad = NULL;

		assert_ok(redis_call(r, args, lens, COUNT(args), &ok, &e), &e);
		assert_ok(REDIS_CALL(r, &got, &e, "GET", "long"), &e);
		assert_int_equal(got->len, LEN);
		assert_memory_equal(got->str, value, LEN);
		assert_fails(REDIS_CALL(r, &bad, &e, "LPUSH", "long", "x"), &e, ERR_INTERNAL);
	}
	redis_close(r);
}

static void a_server_that_is_gone_is_found_again(void **state)
{
	struct redis *r = open_redis();
	OWN(redis_reply) redisReply *first = NULL;
	redisReply *none = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(REDIS_CALL(r, &first, &e, "PING"), &e);
	child_kill(&f.redis[RIGHT]);
	assert_fails(REDIS_CALL(r, &none, &e, "PING"), &e, ERR_UNAVAILABLE);
	start_redis(RIGHT);
	wait_redis(r);
	redis_close(r);
}

/* Says nothing in the middle of an answer: whoever waits is told after REDIS_CALL_MS. */
static void a_frozen_server_is_told_apart(void **state)
{
	struct redis *r = open_redis();
	redisReply *again = NULL;
	struct err e = ERR_INIT;
	long long from_ms;

	(void)state;
	be_patient(1);
	wait_redis(r);
	kill(f.redis[RIGHT].pid, SIGSTOP);
	from_ms = clock_mono_ms();
	assert_fails(REDIS_CALL(r, &again, &e, "PING"), &e, ERR_UNAVAILABLE);
	assert_true(clock_mono_ms() - from_ms >= REDIS_CALL_MS - 50);
	assert_most_are_told_unasked(r, 50, REDIS_CALL_MS - 50);
	kill(f.redis[RIGHT].pid, SIGCONT);
	be_patient(PATIENCE);
	redis_close(r);
}

static void a_file_that_is_none_of_certificates_is_refused(void **state)
{
	const struct trust_conf gone = { path("gone", "pem") }, key = { path("ca", "key") };
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(trust_load(&gone, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "TLS_CA_FILE");
	assert_fails(trust_load(&key, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "TLS_CA_FILE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bus_is_spoken_to_as_its_certificate_says),
		cmocka_unit_test(redis_is_spoken_to_as_its_certificate_says),
		cmocka_unit_test(long_values_come_back_whole),
		cmocka_unit_test(a_server_that_is_gone_is_found_again),
		cmocka_unit_test(a_frozen_server_is_told_apart),
		cmocka_unit_test(a_file_that_is_none_of_certificates_is_refused),
	};

	be_patient(PATIENCE);
	trust_begin();
	return cmocka_run_group_tests(tests, setup, teardown);
}
