#ifndef TEST_ROWS_H
#define TEST_ROWS_H

#include "instance_store.h"

#include "test.h"

#include <sodium.h>

/*
 * The PostgreSQL of DATABASE_URL, with the schema, as its owner. Each test has a user of its own, who
 * goes with all rows: ROWS_TEST().
 */
#define POOL_SIZE 12
#define PORT_MIN  41000
#define PORT_MAX  41999

static struct pg_pool *pool;
static char user[UUID_SIZE];

static inline struct pg_conn *take(void)
{
	struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	assert_ok(pg_take(pool, &c, &e), &e);
	return c;
}

static inline void run(const char *sql, const char *param)
{
	OWN(pg_conn) struct pg_conn *c = take();
	struct err e = ERR_INIT;

	assert_ok(pg_query(c, sql, &param, param ? 1 : 0, NULL, &e), &e);
}

static inline long long number(const char *sql, const char *param)
{
	OWN(pg_conn) struct pg_conn *c = take();
	OWN(pg_result) PGresult *res = NULL;
	struct err e = ERR_INIT;

	assert_ok(pg_query(c, sql, &param, param ? 1 : 0, &res, &e), &e);
	return strtoll(PQgetvalue(res, 0, 0), NULL, 10);
}

static inline int setup_pool(void **state)
{
	const char *url = getenv("DATABASE_URL");
	struct err e = ERR_INIT;

	(void)state;
	if (!url)
		fail_msg("DATABASE_URL must name a PostgreSQL to test with");
	return sodium_init() < 0 ? -1 : pg_pool_open(url, "zaki-test", POOL_SIZE, &pool, &e);
}

static inline int teardown_pool(void **state)
{
	(void)state;
	pg_pool_close(pool);
	return 0;
}

static inline int setup_user(void **state)
{
	(void)state;
	uuid_make(user);
	run("INSERT INTO users (id, email, password_hash) VALUES ($1::uuid, $1::text || "
	    "'@x.example', 'x')",
	    user);
	return 0;
}

static inline int teardown_user(void **state)
{
	(void)state;
	run("DELETE FROM event_outbox WHERE key IN (SELECT id FROM instances WHERE user_id = $1)",
	    user);
	run("DELETE FROM users WHERE id = $1", user);
	return 0;
}

/* A new instance, whose bot is told apart by a number. */
static inline int insert(struct pg_conn *c, const char *bot, int port, struct instance *ret,
                         struct err *e)
{
	const struct store_bot b = { "v1:sealed", "bot", bot };
	struct instance i = { .port = port, .memory_mib = 2048 };

	uuid_make(i.id);
	snprintf(i.user_id, sizeof(i.user_id), "%s", user);
	snprintf(i.name, sizeof(i.name), "Ada");
	container_name(i.id, i.container_name);
	snprintf(i.model, sizeof(i.model), "fake/model");
	snprintf(i.gateway_token_encrypted, sizeof(i.gateway_token_encrypted), "v1:sealed");
	return store_insert(c, &i, &b, "", ret, e);
}

static inline struct instance made(int n)
{
	OWN(pg_conn) struct pg_conn *c = take();
	struct err e = ERR_INIT;
	struct instance i;
	char bot[64];

	snprintf(bot, sizeof(bot), "%s-%d", user, n);
	assert_ok(insert(c, bot, PORT_MIN + n, &i, &e), &e);
	return i;
}

#define ROWS_TEST(f) cmocka_unit_test_setup_teardown(f, setup_user, teardown_user)

#endif
