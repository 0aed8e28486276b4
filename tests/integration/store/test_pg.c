#include "store/pg.h"

#include "base/clock.h"
#include "gate.h"
#include "test.h"

#include <pthread.h>

/* Runs against the PostgreSQL of DATABASE_URL, as a role that may create temporary tables. */

#define POOL_SIZE 4

static struct pg_pool *pool;

static const char *database_url(void)
{
	const char *url = getenv("DATABASE_URL");

	if (!url)
		fail_msg("DATABASE_URL must name a PostgreSQL to test with");
	return url;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	return pg_pool_open(database_url(), "zaki-test", POOL_SIZE, &pool, &e);
}

static int teardown(void **state)
{
	(void)state;
	pg_pool_close(pool);
	pool = NULL;
	return 0;
}

/* The database's own answer to a question of one value, as text in buf. */
static const char *ask(struct pg_conn *c, const char *sql, char buf[64])
{
	OWN(pg_result) PGresult *res = NULL;
	struct err e = ERR_INIT;

	assert_ok(pg_query(c, sql, NULL, 0, &res, &e), &e);
	snprintf(buf, 64, "%s", PQgetvalue(res, 0, 0));
	return buf;
}

/* Until the database answers. */
static void take_at_last(struct pg_pool *p, struct pg_conn **ret)
{
	long long until_ms = clock_mono_ms() + 60000;
	struct err e = ERR_INIT;

	while (pg_take(p, ret, &e) < 0) {
		if (clock_mono_ms() > until_ms)
			fail_msg("the database does not answer: %s", e.msg);
		clock_sleep_ms(20);
	}
}

static void values_come_back_as_they_went(void **state)
{
	static const char sql[] = "SELECT $1::text AS t, $2::text AS n, $3::int8 AS i,"
				  " $4::bool AS yes, NULL::bool AS none";
	const char *params[] = { "O'Brien \\ \xc3\xa9 \"", NULL, "-9007199254740993", "true" };
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(pg_take(pool, &c, &e), &e);
	for (int round = 0; round < 3; round++) { /* the second time it is prepared */
		OWN(pg_result) PGresult *res = NULL;
		long long i = 0;

		assert_ok(pg_query(c, sql, params, COUNT(params), &res, &e), &e);
		assert_string_equal(pg_text(res, 0, "t"), params[0]);
		assert_null(pg_text(res, 0, "n"));
		assert_null(pg_text(res, 0, "no such column"));
		assert_ok(pg_int(res, 0, "i", &i, &e), &e);
		assert_int_equal(i, -9007199254740993);
		assert_true(pg_bool(res, 0, "yes"));
		assert_false(pg_bool(res, 0, "none"));
		assert_int_equal(pg_int(res, 0, "t", &i, &e), -1);
		assert_int_equal(e.code, ERR_INTERNAL);
		e = ERR_INIT;
	}
}

static void a_statement_is_prepared_once_a_connection(void **state)
{
	static const char sql[] = "SELECT 40 + $1::int AS n";
	const char *two = "2";
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;
	char buf[64];

	(void)state;
	assert_ok(pg_take(pool, &c, &e), &e);
	for (int i = 0; i < 5; i++)
		assert_ok(pg_query(c, sql, &two, 1, NULL, &e), &e);
	assert_string_equal(ask(c,
	                        "SELECT count(*) FROM pg_prepared_statements"
	                        " WHERE statement LIKE 'SELECT 40 +%'",
	                        buf),
	                    "1");
}

static void more_statements_than_slots_still_run(void **state)
{
	static char sql[300][32]; /* constant once filled, as pg_query() asks */
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < COUNT(sql); i++)
		snprintf(sql[i], sizeof(sql[i]), "SELECT %zu AS n", i);
	assert_ok(pg_take(pool, &c, &e), &e);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(sql); i++) {
			OWN(pg_result) PGresult *res = NULL;
			long long n = -1;

			assert_ok(pg_query(c, sql[i], NULL, 0, &res, &e), &e);
			assert_ok(pg_int(res, 0, "n", &n, &e), &e);
			assert_int_equal(n, i);
		}
	}
}

static void failures_have_their_code(void **state)
{
	static const struct {
		const char *sql, *constraint;
		enum err_code code;
	} cases[] = {
		{ "INSERT INTO pg_temp.t VALUES ('a', 1)", "t_name_key", ERR_CONFLICT },
		{ "INSERT INTO pg_temp.t VALUES ('b', -1)", "t_positive", ERR_INTERNAL },
		{ "SELECT 1 / 0", "", ERR_INTERNAL },
		{ "SELECT 'secret-value'::uuid", "", ERR_INTERNAL },
		{ "SELECT nothing FROM nowhere", "", ERR_INTERNAL },
		{ "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$", "",
		  ERR_UNAVAILABLE },
		{ "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$", "",
		  ERR_UNAVAILABLE },
	};
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(pg_query(c,
	                   "CREATE TEMPORARY TABLE t (name text UNIQUE,"
	                   " n int CONSTRAINT t_positive CHECK (n > 0))",
	                   NULL, 0, NULL, &e),
	          &e);
	assert_ok(pg_query(c, "INSERT INTO pg_temp.t VALUES ('a', 1)", NULL, 0, NULL, &e), &e);
	for (size_t i = 0; i < COUNT(cases); i++) {
		print_message("  %s\n", cases[i].sql);
		assert_fails(pg_query(c, cases[i].sql, NULL, 0, NULL, &e), &e, cases[i].code);
		assert_string_equal(pg_constraint(c), cases[i].constraint);
		assert_null(strstr(e.msg, "secret-value"));
		e = ERR_INIT;
	}
	/* The connection goes on, and what failed before is forgotten. */
	assert_ok(pg_query(c, "SELECT 1", NULL, 0, NULL, &e), &e);
	assert_string_equal(pg_constraint(c), "");
}

static void a_transaction_counts_only_when_committed(void **state)
{
	static const char insert[] = "INSERT INTO pg_temp.tx_test VALUES (1)";
	static const char count[] = "SELECT count(*) FROM pg_temp.tx_test";
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;
	char buf[64];

	(void)state;
	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(pg_query(c, "CREATE TEMPORARY TABLE tx_test (n int)", NULL, 0, NULL, &e), &e);
	{
		OWN(pg_tx) struct pg_tx tx = { 0 };

		assert_ok(pg_begin(c, &tx, &e), &e);
		assert_ok(pg_query(c, insert, NULL, 0, NULL, &e), &e);
	}
	assert_string_equal(ask(c, count, buf), "0");
	{
		OWN(pg_tx) struct pg_tx tx = { 0 };
		OWN(pg_result) PGresult *res = NULL;

		assert_ok(pg_begin(c, &tx, &e), &e);
		assert_ok(pg_query(c, insert, NULL, 0, &res, &e), &e);
		assert_int_equal(pg_affected(res), 1);
		assert_ok(pg_commit(&tx, &e), &e);
	}
	assert_string_equal(ask(c, count, buf), "1");
	{
		OWN(pg_tx) struct pg_tx tx = { 0 };

		/* A commit after a failed statement is no commit, whatever the server says. */
		assert_ok(pg_begin(c, &tx, &e), &e);
		assert_ok(pg_query(c, insert, NULL, 0, NULL, &e), &e);
		assert_int_equal(pg_query(c, "SELECT 1 / 0", NULL, 0, NULL, &e), -1);
		assert_fails(pg_commit(&tx, &e), &e, ERR_INTERNAL);
	}
	assert_string_equal(ask(c, count, buf), "1");
}

static void giving_back_rolls_back(void **state)
{
	struct pg_pool *one = NULL;
	struct pg_conn *c = NULL;
	struct err e = ERR_INIT;
	struct pg_tx tx = { 0 };
	char buf[64];

	(void)state;
	assert_ok(pg_pool_open(database_url(), "zaki-test", 1, &one, &e), &e);
	assert_ok(pg_take(one, &c, &e), &e);
	assert_ok(pg_query(c, "CREATE TEMPORARY TABLE left_open (n int)", NULL, 0, NULL, &e), &e);
	assert_ok(pg_begin(c, &tx, &e), &e);
	assert_ok(pg_query(c, "INSERT INTO pg_temp.left_open VALUES (1)", NULL, 0, NULL, &e), &e);
	pg_give(c);

	assert_ok(pg_take(one, &c, &e), &e); /* the same one: its temporary table is there */
	assert_string_equal(ask(c, "SELECT count(*) FROM pg_temp.left_open", buf), "0");
	pg_give(c);
	pg_pool_close(one);
}

/* By the server's own clock, and while this side goes on waiting. */
static void a_slow_statement_ends_by_itself(void **state)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct pg_pool *p = NULL;
	struct err e = ERR_INIT;
	char buf[64];
	long long from;

	(void)state;
	assert_ok(pg_pool_open(database_url(), "zaki-test", 1, &p, &e), &e);
	be_patient(1);
	take_at_last(p, &c);
	be_patient(PATIENCE);
	snprintf(buf, sizeof(buf), "%ds", PG_STATEMENT_MS / 1000);
	assert_string_equal(ask(c, "SHOW statement_timeout", (char[64]){ 0 }), buf);
	from = clock_mono_ms();
	assert_fails(pg_query(c, "SELECT pg_sleep(600)", NULL, 0, NULL, &e), &e, ERR_TIMEOUT);
	assert_true(clock_mono_ms() - from >= PG_STATEMENT_MS - 100);
	assert_non_null(strstr(e.msg, "57014"));
	e = ERR_INIT;
	assert_ok(pg_query(c, "SELECT 1", NULL, 0, NULL, &e), &e);
	pg_give(TAKE(c));
	pg_pool_close(p);
}

static void a_killed_backend_is_replaced_at_the_next_take(void **state)
{
	static const char kill_it[] = "SELECT pg_terminate_backend($1::int, 60000)";
	struct pg_conn *victim = NULL, *killer = NULL;
	struct err e = ERR_INIT;
	char pid[64], now[64];
	const char *param = pid;

	(void)state;
	assert_ok(pg_take(pool, &victim, &e), &e);
	assert_ok(pg_take(pool, &killer, &e), &e);

	/* While taken: the statement fails as unavailable, and so does all after it. */
	ask(victim, "SELECT pg_backend_pid()", pid);
	assert_ok(pg_query(killer, kill_it, &param, 1, NULL, &e), &e);
	assert_fails(pg_query(victim, "SELECT 1", NULL, 0, NULL, &e), &e, ERR_UNAVAILABLE);
	assert_fails(pg_query(victim, "SELECT 1", NULL, 0, NULL, &e), &e, ERR_UNAVAILABLE);
	e = ERR_INIT;
	pg_give(victim);
	assert_ok(pg_take(pool, &victim, &e), &e);
	assert_string_not_equal(ask(victim, "SELECT pg_backend_pid()", now), pid);

	/* While idle: nobody sees a failure. */
	ask(victim, "SELECT pg_backend_pid()", pid);
	pg_give(victim);
	assert_ok(pg_query(killer, kill_it, &param, 1, NULL, &e), &e);
	assert_ok(pg_take(pool, &victim, &e), &e);
	assert_string_not_equal(ask(victim, "SELECT pg_backend_pid()", now), pid);
	pg_give(victim);
	pg_give(killer);
}

static void a_transaction_dies_with_its_backend(void **state)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_tx) struct pg_tx tx = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(pg_begin(c, &tx, &e), &e);
	assert_fails(
		pg_query(c, "SELECT pg_terminate_backend(pg_backend_pid())", NULL, 0, NULL, &e), &e,
		ERR_UNAVAILABLE);
	assert_fails(pg_commit(&tx, &e), &e, ERR_UNAVAILABLE);
}

/* The test database's own address, behind a gate. */
static struct gate *gated(char conninfo[512])
{
	char *why = NULL, path[200];
	PQconninfoOption *all = PQconninfoParse(database_url(), &why);
	const char *host = "127.0.0.1", *port = "5432";
	struct gate *g;
	size_t used;

	if (!all)
		fail_msg("%s", why);
	for (const PQconninfoOption *o = all; o->keyword; o++) {
		if (o->val && strcmp(o->keyword, "host") == 0)
			host = o->val;
		if (o->val && strcmp(o->keyword, "port") == 0)
			port = o->val;
	}
	snprintf(path, sizeof(path), "%s/.s.PGSQL.%s", host, port);
	g = gate_start(host[0] == '/' ? path : host, (int)strtol(port, NULL, 10));
	used = (size_t)snprintf(conninfo, 512, "host=127.0.0.1 port=%d sslmode=disable",
	                        gate_port(g));
	for (const PQconninfoOption *o = all; o->keyword; o++)
		if (o->val &&
		    (strcmp(o->keyword, "user") == 0 || strcmp(o->keyword, "password") == 0 ||
		     strcmp(o->keyword, "dbname") == 0))
			used += (size_t)snprintf(conninfo + used, 512 - used, " %s='%s'",
			                         o->keyword, o->val);
	PQconninfoFree(all);
	return g;
}

static void a_server_that_is_gone_is_found_again(void **state)
{
	struct pg_pool *p = NULL;
	struct pg_conn *c = NULL;
	struct err e = ERR_INIT;
	char conninfo[512];
	struct gate *g = gated(conninfo);
	long long from, tries = 0;

	(void)state;
	assert_ok(pg_pool_open(conninfo, "zaki-test", 2, &p, &e), &e);
	assert_ok(pg_take(p, &c, &e), &e);
	assert_ok(pg_query(c, "SELECT 1", NULL, 0, NULL, &e), &e);

	gate_set(g, GATE_CLOSED);
	assert_fails(pg_query(c, "SELECT 1", NULL, 0, NULL, &e), &e, ERR_UNAVAILABLE);
	pg_give(c);
	from = clock_mono_ms();
	for (int i = 0; i < 1000; i++) {
		assert_fails(pg_take(p, &c, &e), &e, ERR_UNAVAILABLE);
		tries += !strstr(e.msg, "a moment ago");
	}
	assert_int_equal(e.retry_after_s, 1);
	/* One each PG_RETRY_MS asks it; the others are told unasked. */
	assert_true((tries - 1) * PG_RETRY_MS <= clock_mono_ms() - from);

	gate_set(g, GATE_OPEN);
	take_at_last(p, &c);
	e = ERR_INIT;
	assert_ok(pg_query(c, "SELECT 1", NULL, 0, NULL, &e), &e);
	pg_give(c);
	pg_pool_close(p);
	gate_stop(g);
}

static void a_frozen_server_hangs_nobody(void **state)
{
	struct pg_pool *p = NULL;
	struct pg_conn *c = NULL, *other = NULL;
	struct err e = ERR_INIT;
	char conninfo[512];
	struct gate *g = gated(conninfo);
	long long from;

	(void)state;
	assert_ok(pg_pool_open(conninfo, "zaki-test", 2, &p, &e), &e);
	be_patient(1);
	take_at_last(p, &c);
	gate_set(g, GATE_FROZEN);
	from = clock_mono_ms();
	assert_fails(pg_query(c, "SELECT 1", NULL, 0, NULL, &e), &e, ERR_TIMEOUT);
	assert_true(clock_mono_ms() - from >= PG_STATEMENT_MS);
	from = clock_mono_ms();
	assert_fails(pg_take(p, &other, &e), &e, ERR_UNAVAILABLE);
	assert_true(clock_mono_ms() - from >= 1000);
	pg_give(c);

	gate_set(g, GATE_OPEN);
	be_patient(PATIENCE);
	take_at_last(p, &c);
	pg_give(c);
	pg_pool_close(p);
	gate_stop(g);
}

static void an_empty_pool_says_so(void **state)
{
	struct pg_conn *taken[POOL_SIZE] = { 0 }, *c = NULL;
	struct err e = ERR_INIT;
	long long from;

	(void)state;
	for (size_t i = 0; i < POOL_SIZE; i++)
		assert_ok(pg_take(pool, &taken[i], &e), &e);
	be_patient(1);
	from = clock_mono_ms();
	assert_fails(pg_take(pool, &c, &e), &e, ERR_UNAVAILABLE);
	assert_true(clock_mono_ms() - from >= PG_TAKE_MS - 50);
	be_patient(PATIENCE);
	for (size_t i = 0; i < POOL_SIZE; i++)
		pg_give(taken[i]);
}

static void *hammer(void *ctx)
{
	static const char sql[] = "SELECT $1::int + 1 AS n";
	long long *bad = ctx;

	for (int i = 0; i < 200; i++) {
		OWN(pg_conn) struct pg_conn *c = NULL;
		OWN(pg_result) PGresult *res = NULL;
		struct err e = ERR_INIT;
		char text[12];
		const char *param = text;
		long long n = 0;

		snprintf(text, sizeof(text), "%d", i);
		if (pg_take(pool, &c, &e) < 0 || pg_query(c, sql, &param, 1, &res, &e) < 0 ||
		    pg_int(res, 0, "n", &n, &e) < 0 || n != i + 1)
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

static void a_bad_address_says_what_without_the_password(void **state)
{
	struct pg_pool *p = NULL;
	struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(pg_pool_open("postgresql://u:hush-hush@127.0.0.1:1/db", "t", 1, &p, &e), &e);
	assert_fails(pg_take(p, &c, &e), &e, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "refused"));
	assert_null(strstr(e.msg, "hush-hush"));
	pg_pool_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_back_as_they_went),
		cmocka_unit_test(a_statement_is_prepared_once_a_connection),
		cmocka_unit_test(more_statements_than_slots_still_run),
		cmocka_unit_test(failures_have_their_code),
		cmocka_unit_test(a_transaction_counts_only_when_committed),
		cmocka_unit_test(giving_back_rolls_back),
		cmocka_unit_test(a_slow_statement_ends_by_itself),
		cmocka_unit_test(a_killed_backend_is_replaced_at_the_next_take),
		cmocka_unit_test(a_transaction_dies_with_its_backend),
		cmocka_unit_test(a_server_that_is_gone_is_found_again),
		cmocka_unit_test(a_frozen_server_hangs_nobody),
		cmocka_unit_test(an_empty_pool_says_so),
		cmocka_unit_test(many_threads_share_a_few_connections),
		cmocka_unit_test(a_bad_address_says_what_without_the_password),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests(tests, setup, teardown);
}
