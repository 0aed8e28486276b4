#include "store/once.h"

#include "base/uuid.h"
#include "test.h"

#include <pthread.h>
#include <sodium.h>

/* Runs against a database that the migrations were applied to (DATABASE_URL), as a role that may
 * write to idempotency_auth. Each test has a key of its own. */

#define USER "11111111-2222-4333-8444-555555555555"

static struct pg_pool *pool;
static struct arena arena;

static int setup(void **state)
{
	const char *url = getenv("DATABASE_URL");
	struct err e = ERR_INIT;

	(void)state;
	if (!url)
		fail_msg("DATABASE_URL must name a PostgreSQL to test with");
	arena_init(&arena, 65536);
	return sodium_init() < 0 ? -1 : pg_pool_open(url, "zaki-test", 9, &pool, &e);
}

static int teardown(void **state)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(pg_query(c, "DELETE FROM idempotency_auth WHERE scope LIKE 'test %'", NULL, 0,
	                   NULL, &e),
	          &e);
	assert_ok(once_forget(c, ONCE_AUTH, USER, &e), &e);
	pg_give(TAKE(c));
	pg_pool_close(pool);
	arena_done(&arena);
	return 0;
}

/* A request with a key that nobody else has; key holds it. */
static struct once_ask ask_with(char key[33])
{
	random_hex(16, key);
	return (struct once_ask){
		ONCE_AUTH, "test a", key, "zaki.rpc.auth.login", "hash 1", "me 1"
	};
}

static int begin(const struct once_ask *ask, struct once_answer *ret, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;

	return pg_take(pool, &c, e) < 0 ? -1 : once_begin(c, ask, &arena, ret, e);
}

static void finish(const struct once_ask *ask, int status, const char *reply, const char *about)
{
	const struct once_answer answer = { status, reply };
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(once_finish(c, ask, &answer, about, &e), &e);
}

static void claim(const struct once_ask *ask)
{
	struct once_answer got = { .status = 7 };
	struct err e = ERR_INIT;

	assert_ok(begin(ask, &got, &e), &e);
	assert_int_equal(got.status, 0);
}

/* Makes the row of a key older. */
static void age(const char *key, const char *seconds)
{
	static const char sql[] =
		"UPDATE idempotency_auth SET created_at = created_at - make_interval(secs => "
		"$2::int),"
		" claimed_at = claimed_at - make_interval(secs => $2::int) WHERE key = $1";
	const char *params[] = { key, seconds };
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(pg_query(c, sql, params, COUNT(params), NULL, &e), &e);
}

static void the_same_request_gets_the_same_answer(void **state)
{
	char key[33];
	struct once_ask ask = ask_with(key), again = ask;
	struct once_answer got = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	claim(&ask);
	finish(&ask, 409, "{\"answer\":\"\xc3\xa9\"}", NULL);
	again.owner = "me 2";
	for (int i = 0; i < 3; i++) {
		assert_ok(begin(&again, &got, &e), &e);
		assert_int_equal(got.status, 409);
		assert_string_equal(got.reply, "{\"answer\":\"\xc3\xa9\"}");
	}
}

static void another_request_is_a_conflict(void **state)
{
	char key[33];
	struct once_ask ask = ask_with(key), body = ask, subject = ask, scope = ask;
	struct once_answer got = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	claim(&ask);
	body.request_hash = "hash 2";
	subject.subject = "zaki.rpc.auth.register";
	for (int round = 0; round < 2; round++) { /* under way, and done */
		assert_fails(begin(&body, &got, &e), &e, ERR_CONFLICT);
		assert_int_equal(e.retry_after_s, 0);
		assert_fails(begin(&subject, &got, &e), &e, ERR_CONFLICT);
		finish(&ask, 200, "{}", NULL);
	}
	/* Another person's key is another key. */
	scope.scope = "test b";
	claim(&scope);
}

static void one_that_is_under_way_is_waited_for(void **state)
{
	char key[33];
	struct once_ask ask = ask_with(key);
	struct once_answer got = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	claim(&ask);
	assert_fails(begin(&ask, &got, &e), &e, ERR_CONFLICT);
	assert_int_equal(e.retry_after_s, 1);
}

static void one_that_failed_may_be_tried_again(void **state)
{
	char key[33];
	struct once_ask ask = ask_with(key);

	(void)state;
	claim(&ask);
	finish(&ask, 0, NULL, NULL);
	claim(&ask);
}

static void a_claim_whose_process_died_is_taken_over(void **state)
{
	char key[33];
	struct once_ask ask = ask_with(key), other = ask, body = ask;
	struct once_answer got = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	claim(&ask);
	age(key, "61");
	body.request_hash = "hash 2";
	assert_fails(begin(&body, &got, &e), &e, ERR_CONFLICT);
	other.owner = "me 2";
	claim(&other);

	/* The first one was only slow: what it says now counts no more. */
	finish(&ask, 500, "late", NULL);
	finish(&ask, 0, NULL, NULL);
	finish(&other, 200, "in time", NULL);
	e = ERR_INIT;
	assert_ok(begin(&ask, &got, &e), &e);
	assert_string_equal(got.reply, "in time");
}

static void what_a_dead_claim_made_is_found(void **state)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	char key[33], made[UUID_SIZE] = "";
	struct once_ask ask = ask_with(key), other = ask;
	struct err e = ERR_INIT;

	(void)state;
	claim(&ask);
	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(once_made(c, &ask, made, &e), &e);
	assert_string_equal(made, "");
	assert_ok(once_note(c, &ask, USER, &e), &e);
	age(key, "61");
	other.owner = "me 2";
	claim(&other);
	assert_ok(once_made(c, &other, made, &e), &e);
	assert_string_equal(made, USER);
	/* It is the claim's that holds the key now, and nobody else's. */
	assert_ok(once_made(c, &ask, made, &e), &e);
	assert_string_equal(made, "");

	/* An answer that was kept is over after a day, and what it told of with it. */
	finish(&other, 200, "{}", USER);
	age(key, "86401");
	claim(&ask);
	assert_ok(once_made(c, &ask, made, &e), &e);
	assert_string_equal(made, "");
}

static void an_answer_is_kept_for_a_day(void **state)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	char key[33], older[33];
	struct once_ask ask = ask_with(key), old = ask_with(older);
	struct once_answer got = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	claim(&ask);
	finish(&ask, 200, "{}", NULL);
	age(key, "86300");
	assert_ok(begin(&ask, &got, &e), &e);
	assert_int_equal(got.status, 200);
	age(key, "200");
	ask.request_hash = "hash 2";
	claim(&ask); /* the key is free again, for any request */

	claim(&old);
	finish(&old, 200, "{}", NULL);
	age(older, "86401");
	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(once_purge(c, ONCE_AUTH, &e), &e);
	finish(&old, 200, "gone", NULL); /* no row of it is left to change */
	claim(&old);
}

static void what_tells_of_a_user_goes_with_them(void **state)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	char key[33], own_key[33];
	struct once_ask ask = ask_with(key), own = ask_with(own_key);
	struct err e = ERR_INIT;

	(void)state;
	own.scope = USER;
	claim(&ask);
	finish(&ask, 200, "{}", USER);
	claim(&own);
	finish(&own, 200, "{}", NULL);
	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(once_forget(c, ONCE_AUTH, USER, &e), &e);
	claim(&ask);
	claim(&own);
}

struct racer {
	pthread_t thread;
	struct once_ask ask;
	char owner[8];
	int claimed;
};

static void *race(void *ctx)
{
	struct racer *r = ctx;
	struct once_answer got = { .status = 7 };
	struct err e = ERR_INIT;
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct arena own;

	arena_init(&own, 4096);
	r->claimed = pg_take(pool, &c, &e) == 0 && once_begin(c, &r->ask, &own, &got, &e) == 0 &&
	             got.status == 0;
	arena_done(&own);
	return NULL;
}

static void of_many_at_once_one_gets_the_claim(void **state)
{
	struct racer racers[8];
	char key[33];
	struct once_ask ask = ask_with(key);
	int claimed = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(racers); i++) {
		racers[i].ask = ask;
		snprintf(racers[i].owner, sizeof(racers[i].owner), "me %zu", i);
		racers[i].ask.owner = racers[i].owner;
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < COUNT(racers); i++) {
		pthread_join(racers[i].thread, NULL);
		claimed += racers[i].claimed;
	}
	assert_int_equal(claimed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_request_gets_the_same_answer),
		cmocka_unit_test(another_request_is_a_conflict),
		cmocka_unit_test(one_that_is_under_way_is_waited_for),
		cmocka_unit_test(one_that_failed_may_be_tried_again),
		cmocka_unit_test(a_claim_whose_process_died_is_taken_over),
		cmocka_unit_test(what_a_dead_claim_made_is_found),
		cmocka_unit_test(an_answer_is_kept_for_a_day),
		cmocka_unit_test(what_tells_of_a_user_goes_with_them),
		cmocka_unit_test(of_many_at_once_one_gets_the_claim),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests(tests, setup, teardown);
}
