#include "store/redis.h"

#include "test.h"

static const struct {
	const char *what, *url;
	bool accepted;
} cases[] = {
	{ "host", "redis://localhost", true },
	{ "port", "redis://localhost:6380", true },
	{ "database", "redis://localhost:6380/2", true },
	{ "database empty", "redis://localhost/", true },
	{ "password", "redis://:secret@localhost", true },
	{ "user and password", "redis://me:secret@localhost:6379/0", true },
	{ "escaped password", "redis://:p%40ss%2Fw%3ard@localhost", true },
	{ "password with an @", "redis://:p@ss@localhost", true },
	{ "IPv6", "redis://[::1]:6379/1", true },
	{ "IPv6 without a port", "redis://[::1]", true },
	{ "unix socket", "unix:///run/redis.sock", true },
	{ "unix socket and database", "unix://:secret@/run/redis.sock?db=3", true },
	{ "by TLS", "rediss://me:secret@redis.example:6380/0", true },
	{ "empty", "", false },
	{ "no scheme", "localhost:6379", false },
	{ "another scheme", "http://localhost", false },
	{ "no host", "redis://", false },
	{ "no host by TLS", "rediss://", false },
	{ "two s", "redisss://localhost", false },
	{ "no host but a port", "redis://:6379", false },
	{ "port no number", "redis://localhost:x", false },
	{ "port empty", "redis://localhost:", false },
	{ "port too large", "redis://localhost:65536", false },
	{ "database no number", "redis://localhost/x", false },
	{ "half an escape", "redis://:p%4@localhost", false },
	{ "an escaped zero", "redis://:p%00w@localhost", false },
	{ "user alone", "redis://me@localhost", false },
	{ "IPv6 not closed", "redis://[::1:6379", false },
	{ "IPv6 and something", "redis://[::1]x", false },
	{ "unix socket not absolute", "unix://run/redis.sock", false },
};

static void a_url_is_taken_or_refused_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct redis *r = NULL;
		struct err e = ERR_INIT;
		int got = redis_open(cases[i].url, 1, &r, &e);

		print_message("  %s\n", cases[i].what);
		assert_int_equal(got, cases[i].accepted ? 0 : -1);
		assert_string_equal(e.field, cases[i].accepted ? "" : "REDIS_URL");
		assert_null(strstr(e.msg, "secret"));
		redis_close(r);
	}
}

static void nobody_there_is_unavailable(void **state)
{
	struct redis *r = NULL;
	redisReply *reply = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(redis_open("redis://127.0.0.1:1", 1, &r, &e), &e);
	for (int i = 0; i < 3; i++)
		assert_fails(REDIS_CALL(r, &reply, &e, "PING"), &e, ERR_UNAVAILABLE);
	assert_int_equal(e.retry_after_s, 1);
	assert_null(reply);
	redis_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_is_taken_or_refused_by_name),
		cmocka_unit_test(nobody_there_is_unavailable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
