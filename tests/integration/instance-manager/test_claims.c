#include "rows.h"

#include <pthread.h>

/* What people claim: bots, ports, their quota; and what they are shown. */

static void one_bot_serves_one_instance(void **state)
{
	OWN(pg_conn) struct pg_conn *c = take();
	struct err e = ERR_INIT;
	struct instance i;

	(void)state;
	assert_ok(insert(c, user, PORT_MIN, &i, &e), &e);
	assert_fails(insert(c, user, PORT_MIN + 1, &i, &e), &e, ERR_BOT_TOKEN_IN_USE);
}

static void a_port_is_one_instances(void **state)
{
	OWN(pg_conn) struct pg_conn *c = take();
	struct err e = ERR_INIT;
	struct instance i;
	int port = 0;

	(void)state;
	assert_ok(insert(c, user, PORT_MAX, &i, &e), &e);
	assert_fails(insert(c, "another", PORT_MAX, &i, &e), &e, ERR_CONFLICT);
	/* From the taken end it goes on at the beginning. */
	e = ERR_INIT;
	assert_ok(store_free_port(c, PORT_MIN, PORT_MAX, PORT_MAX, &port, &e), &e);
	assert_int_equal(port, PORT_MIN);
	assert_fails(store_free_port(c, PORT_MAX, PORT_MAX, PORT_MAX, &port, &e), &e,
	             ERR_UNAVAILABLE);
}

static void *claim_one(void *ctx)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct err e = ERR_INIT;
	struct instance i;
	long long count = 0;
	char bot[80];

	snprintf(bot, sizeof(bot), "%s-%p", user, ctx);
	if (pg_take(pool, &c, &e) == 0 && pg_begin(c, &tx, &e) == 0 &&
	    store_lock_user(c, user, &e) == 0 && store_count(c, user, &count, &e) == 0 &&
	    count < 3 && insert(c, bot, PORT_MIN + (int)(size_t)ctx, &i, &e) == 0)
		(void)pg_commit(&tx, &e);
	return NULL;
}

static void many_at_once_cannot_exceed_the_quota(void **state)
{
	pthread_t threads[POOL_SIZE - 2];

	(void)state;
	for (size_t n = 0; n < COUNT(threads); n++)
		assert_int_equal(pthread_create(&threads[n], NULL, claim_one, (void *)n), 0);
	for (size_t n = 0; n < COUNT(threads); n++)
		pthread_join(threads[n], NULL);
	assert_int_equal(number("SELECT count(*) FROM instances WHERE user_id = $1", user), 3);
}

static void pages_have_everything_once(void **state)
{
	struct arena a __attribute__((cleanup(own_arena)));
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct instance_page page = { 0 };
	struct err e = ERR_INIT;
	char last[UUID_SIZE] = "";
	size_t seen = 0;

	(void)state;
	arena_init(&a, 1 << 20);
	for (int n = 0; n < 5; n++)
		made(n);
	/* Some at the very same time. */
	run("UPDATE instances SET created_at = '2026-02-10T12:00:00.123456Z' WHERE user_id = $1"
	    " AND port > 41001",
	    user);
	c = take();
	do {
		assert_ok(instance_page_init(&page, page.next_cursor, 2, &e), &e);
		assert_ok(store_list(c, user, &a, &page, &e), &e);
		for (size_t n = 0; n < page.count; n++) {
			assert_string_not_equal(page.list[n].id, last);
			snprintf(last, sizeof(last), "%s", page.list[n].id);
		}
		assert_int_equal(page.count, seen < 4 ? 2 : 1);
		seen += page.count;
	} while (page.next_cursor);
	assert_int_equal(seen, 5);
}

static void what_is_anothers_is_not_there(void **state)
{
	struct instance i = made(1), other;
	OWN(pg_conn) struct pg_conn *c = take();
	char stranger[UUID_SIZE];
	struct err e = ERR_INIT;

	(void)state;
	uuid_make(stranger);
	assert_fails(store_load(c, stranger, i.id, &other, &e), &e, ERR_NOT_FOUND);
	assert_fails(store_lock(c, stranger, i.id, &other, &e), &e, ERR_NOT_FOUND);
	snprintf(i.user_id, sizeof(i.user_id), "%s", stranger);
	assert_fails(store_change(c, &i, NULL, &other, &e), &e, ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS_TEST(one_bot_serves_one_instance),
		ROWS_TEST(a_port_is_one_instances),
		ROWS_TEST(many_at_once_cannot_exceed_the_quota),
		ROWS_TEST(pages_have_everything_once),
		ROWS_TEST(what_is_anothers_is_not_there),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests(tests, setup_pool, teardown_pool);
}
