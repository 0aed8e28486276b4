#include "store/redis.h"

#include "away.h"
#include "base/clock.h"
#include "gate.h"
#include "test.h"

#include <pthread.h>
#include <signal.h>

/* Runs against the Redis of REDIS_URL; its keys start with "zaki-test:". */

static struct redis *redis;

static const char *redis_url(void)
{
	const char *url = getenv("REDIS_URL");

	if (!url)
		fail_msg("REDIS_URL must name a Redis to test with");
	return url;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	return redis_open(redis_url(), 4, &redis, &e);
}

static int teardown(void **state)
{
	(void)state;
	redis_close(redis);
	return 0;
}

static void bytes_come_back_as_they_went(void **state)
{
	const char *set[] = { "SET", "zaki-test:bin", "a\0b\r\n\xff", "EX", "60" };
	const size_t lens[] = { 3, 13, 6, 2, 2 };
	OWN(redis_reply) redisReply *ok = NULL;
	OWN(redis_reply) redisReply *got = NULL;
	OWN(redis_reply) redisReply *none = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(redis_call(redis, set, lens, COUNT(set), &ok, &e), &e);
	assert_ok(REDIS_CALL(redis, &got, &e, "GETDEL", "zaki-test:bin"), &e);
	assert_int_equal(got->len, 6);
	assert_memory_equal(got->str, set[2], 6);
	assert_ok(REDIS_CALL(redis, &none, &e, "GET", "zaki-test:bin"), &e);
	assert_int_equal(none->type, REDIS_REPLY_NIL);
}

static void an_error_reply_is_a_failure(void **state)
{
	redisReply *reply = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(REDIS_CALL(redis, &reply, &e, "NOSUCHCOMMAND"), &e, ERR_INTERNAL);
	assert_null(reply);
	e = ERR_INIT;
	assert_ok(REDIS_CALL(redis, &reply, &e, "PING"), &e);
	freeReplyObject(reply);
}

static void a_run_of_the_server_has_one_name(void **state)
{
	char first[REDIS_RUN_ID_SIZE], again[REDIS_RUN_ID_SIZE];
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(redis_run_id(redis, first, &e), &e);
	assert_ok(redis_run_id(redis, again, &e), &e);
	assert_int_equal(strspn(first, "0123456789abcdef"), REDIS_RUN_ID_SIZE - 1);
	assert_string_equal(first, again);
}

static void a_script_is_loaded_again_when_forgotten(void **state)
{
	static struct redis_script script = {
		.text = "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}"
	};
	const char *key = "zaki-test:script", *arg = "x";
	struct err e = ERR_INIT;
	redisReply *reply = NULL;

	(void)state;
	assert_ok(REDIS_CALL(redis, &reply, &e, "DEL", key), &e);
	freeReplyObject(reply);
	for (int i = 1; i <= 4; i++) {
		if (i == 3) {
			assert_ok(REDIS_CALL(redis, &reply, &e, "SCRIPT", "FLUSH"), &e);
			freeReplyObject(reply);
		}
		assert_ok(redis_script_call(redis, &script, &key, 1, &arg, 1, &reply, &e), &e);
		assert_int_equal(reply->elements, 3);
		assert_string_equal(reply->element[0]->str, key);
		assert_string_equal(reply->element[1]->str, arg);
		assert_int_equal(reply->element[2]->integer, i);
		freeReplyObject(reply);
	}
}

static void a_bad_script_fails_with_its_reason(void **state)
{
	static struct redis_script broken = { .text = "return (" };
	static struct redis_script failing = {
		.text = "return redis.error_reply('ERR on purpose')"
	};
	redisReply *reply = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(redis_script_call(redis, &broken, NULL, 0, NULL, 0, &reply, &e), &e,
	             ERR_INTERNAL);
	assert_fails(redis_script_call(redis, &failing, NULL, 0, NULL, 0, &reply, &e), &e,
	             ERR_INTERNAL);
	assert_non_null(strstr(e.msg, "on purpose"));
}

/* The test server's own address, behind a gate. */
static struct gate *gated(char url[256])
{
	const char *rest = redis_url() + strlen("redis://"), *at = strrchr(rest, '@');
	char host[128];
	const char *start = at ? at + 1 : rest;
	size_t len = strcspn(start, ":/");
	struct gate *g;

	assert_memory_equal(redis_url(), "redis://", 8);
	snprintf(host, sizeof(host), "%.*s", (int)len, start);
	g = gate_start(host, start[len] == ':' ? (int)strtol(start + len + 1, NULL, 10) : 6379);
	snprintf(url, 256, "redis://%.*s127.0.0.1:%d%s", (int)(start - rest), rest, gate_port(g),
	         start + strcspn(start, "/"));
	return g;
}

static int ping(struct redis *r, struct err *e)
{
	OWN(redis_reply) redisReply *reply = NULL;

	return REDIS_CALL(r, &reply, e, "PING");
}

static void a_server_that_is_gone_is_found_again(void **state)
{
	struct redis *r = NULL;
	struct err e = ERR_INIT;
	char url[256];
	struct gate *g = gated(url);

	(void)state;
	assert_ok(redis_open(url, 2, &r, &e), &e);
	assert_ok(ping(r, &e), &e);

	gate_set(g, GATE_CLOSED);
	assert_fails(ping(r, &e), &e, ERR_UNAVAILABLE);
	assert_most_are_told_unasked(r, 1000, 0);

	gate_set(g, GATE_OPEN);
	wait_redis(r);

	/* A connection that the server closed while it was idle is nobody's failure. */
	gate_set(g, GATE_CLOSED);
	gate_set(g, GATE_OPEN);
	e = ERR_INIT;
	assert_ok(ping(r, &e), &e);
	redis_close(r);
	gate_stop(g);
}

static void a_frozen_server_costs_one_caller_its_time(void **state)
{
	struct redis *r = NULL;
	struct err e = ERR_INIT;
	char url[256];
	struct gate *g = gated(url);
	long long from;

	(void)state;
	be_patient(1);
	assert_ok(redis_open(url, 2, &r, &e), &e);
	wait_redis(r);
	gate_set(g, GATE_FROZEN);
	from = clock_mono_ms();
	assert_fails(ping(r, &e), &e, ERR_UNAVAILABLE);
	assert_true(clock_mono_ms() - from >= REDIS_CALL_MS - 50);
	assert_most_are_told_unasked(r, 50, REDIS_CALL_MS - 50);

	gate_set(g, GATE_OPEN);
	wait_redis(r);
	redis_close(r);
	be_patient(PATIENCE);
	gate_stop(g);
}

static void *hammer(void *ctx)
{
	long long *bad = ctx;

	for (int i = 0; i < 300; i++) {
		OWN(redis_reply) redisReply *reply = NULL;
		struct err e = ERR_INIT;
		char text[12];

		snprintf(text, sizeof(text), "%d", i);
		if (REDIS_CALL(redis, &reply, &e, "ECHO", text) < 0 ||
		    strcmp(reply->str, text) != 0)
			++*bad;
	}
	return NULL;
}

static void many_threads_share_a_few_connections(void **state)
{
	pthread_t threads[16];
	long long bad[16] = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &bad[i]), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(bad[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_back_as_they_went),
		cmocka_unit_test(an_error_reply_is_a_failure),
		cmocka_unit_test(a_run_of_the_server_has_one_name),
		cmocka_unit_test(a_script_is_loaded_again_when_forgotten),
		cmocka_unit_test(a_bad_script_fails_with_its_reason),
		cmocka_unit_test(a_server_that_is_gone_is_found_again),
		cmocka_unit_test(a_frozen_server_costs_one_caller_its_time),
		cmocka_unit_test(many_threads_share_a_few_connections),
	};

	signal(SIGPIPE, SIG_IGN);
	be_patient(PATIENCE);
	return cmocka_run_group_tests(tests, setup, teardown);
}
