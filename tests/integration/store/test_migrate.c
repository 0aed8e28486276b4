#include "store/migrate.h"

#include "base/uuid.h"
#include "test.h"

#include <pthread.h>
#include <sodium.h>

/*
 * Runs in a schema of its own, made and dropped in the database of DATABASE_URL, as a role that may
 * make one. This table takes the place of the build's. The tests go in order: each stands on what
 * the one before it left.
 */
const struct migration migrations[] = {
	{ "auth", 1, "0001_first", "aa",
	  "CREATE TABLE first (n int PRIMARY KEY); INSERT INTO first VALUES (1);\n"
	  "CREATE INDEX ON first (n);" },
	{ "auth", 2, "0002_second", "bb",
	  "ALTER TABLE first ADD COLUMN m text DEFAULT '\xc3\xa9 \" \\ ?'" },
	{ "backup", 1, "0001_other", "cc", "CREATE TABLE other (n int REFERENCES first (n))" },
	/* Fails for as long as other is empty. */
	{ "backup", 2, "0002_more", "dd",
	  "CREATE TABLE more (n int); INSERT INTO more SELECT 1 / count(*) FROM other" },
};
const size_t migration_count = COUNT(migrations);

static char schema[48], url[1024];
static struct pg_pool *pool;

/* Statements of one's own, as constants. */
static void sql(const char *text)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	struct err e = ERR_INIT;

	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(pg_query(c, text, NULL, 0, NULL, &e), &e);
}

static void assert_value(const char *text, const char *want)
{
	OWN(pg_conn) struct pg_conn *c = NULL;
	OWN(pg_result) PGresult *res = NULL;
	struct err e = ERR_INIT;

	assert_ok(pg_take(pool, &c, &e), &e);
	assert_ok(pg_query(c, text, NULL, 0, &res, &e), &e);
	assert_string_equal(PQgetvalue(res, 0, 0), want);
}

static int check(const char *service, struct err *e)
{
	OWN(pg_conn) struct pg_conn *c = NULL;

	return pg_take(pool, &c, e) < 0 ? -1 : migrate_check(c, service, e);
}

static void count(const struct migration *m, void *ctx)
{
	(void)m;
	++*(int *)ctx;
}

static int setup(void **state)
{
	static char make[80], random[17];
	const char *base = getenv("DATABASE_URL");
	struct err e = ERR_INIT;

	(void)state;
	if (!base)
		fail_msg("DATABASE_URL must name a PostgreSQL to test with");
	if (sodium_init() < 0)
		return -1;
	random_hex(8, random);
	snprintf(schema, sizeof(schema), "migrate_test_%s", random);
	snprintf(make, sizeof(make), "CREATE SCHEMA %s", schema);
	/* A URL takes it escaped, a list of keywords as it stands. */
	if (strstr(base, "://"))
		snprintf(url, sizeof(url), "%s%soptions=-csearch_path%%3D%s", base,
		         strchr(base, '?') ? "&" : "?", schema);
	else
		snprintf(url, sizeof(url), "%s options='-csearch_path=%s'", base, schema);
	if (pg_pool_open(url, "zaki-test", 1, &pool, &e) < 0)
		return -1;
	sql(make);
	return 0;
}

static int teardown(void **state)
{
	static char drop[80];

	(void)state;
	snprintf(drop, sizeof(drop), "DROP SCHEMA IF EXISTS %s CASCADE", schema);
	sql(drop);
	pg_pool_close(pool);
	return 0;
}

static void a_database_without_a_schema_is_told_apart(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(check("auth", &e), &e, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "no schema"));
}

static void what_fails_leaves_whole_migrations_only(void **state)
{
	struct err e = ERR_INIT;
	int applied = 0;

	(void)state;
	assert_fails(migrate_apply(url, count, &applied, &e), &e, ERR_INTERNAL);
	assert_non_null(strstr(e.msg, "0002_more"));
	assert_int_equal(applied, 3);
	assert_value("SELECT count(*) FROM schema_migrations", "3");
	assert_value("SELECT m FROM first", "\xc3\xa9 \" \\ ?");
	assert_value("SELECT coalesce(to_regclass('more')::text, 'none')", "none");

	e = ERR_INIT;
	assert_ok(check("auth", &e), &e);
	assert_fails(check("backup", &e), &e, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "1 of 2"));
}

static void what_is_missing_is_applied_and_no_more(void **state)
{
	struct err e = ERR_INIT;
	int applied = 0;

	(void)state;
	sql("INSERT INTO other VALUES (1)");
	assert_ok(migrate_apply(url, count, &applied, &e), &e);
	assert_int_equal(applied, 1);
	assert_ok(check("backup", &e), &e);
	assert_ok(migrate_apply(url, count, &applied, &e), &e);
	assert_int_equal(applied, 1);
}

static void a_migration_that_was_changed_is_refused(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	sql("UPDATE schema_migrations SET checksum = 'xx' WHERE name = '0002_second'");
	assert_fails(migrate_apply(url, NULL, NULL, &e), &e, ERR_CONFLICT);
	assert_fails(check("auth", &e), &e, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "0002_second"));
	e = ERR_INIT;
	assert_ok(check("backup", &e), &e); /* another's is not this service's affair */
	sql("UPDATE schema_migrations SET checksum = 'bb' WHERE name = '0002_second'");
}

static void a_migration_of_a_later_build_is_refused(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	sql("INSERT INTO schema_migrations (service, version, name, checksum)"
	    " VALUES ('auth', 3, '0003_later', 'ee')");
	assert_fails(migrate_apply(url, NULL, NULL, &e), &e, ERR_CONFLICT);
	assert_fails(check("auth", &e), &e, ERR_CONFLICT);
	sql("DELETE FROM schema_migrations WHERE version = 3");
}

struct migrator {
	pthread_t thread;
	struct err e;
	int r, applied;
};

static void *run(void *ctx)
{
	struct migrator *m = ctx;

	m->r = migrate_apply(url, count, &m->applied, &m->e);
	return NULL;
}

static void two_at_once_apply_each_one_once(void **state)
{
	struct migrator two[2] = { { .e = ERR_INIT }, { .e = ERR_INIT } };

	(void)state;
	sql("DROP TABLE schema_migrations, more, other, first");
	for (size_t i = 0; i < COUNT(two); i++)
		assert_int_equal(pthread_create(&two[i].thread, NULL, run, &two[i]), 0);
	for (size_t i = 0; i < COUNT(two); i++) {
		pthread_join(two[i].thread, NULL);
		assert_fails(two[i].r, &two[i].e, ERR_INTERNAL); /* other is empty again */
	}
	assert_int_equal(two[0].applied + two[1].applied, 3);
	assert_value("SELECT count(*) FROM schema_migrations", "3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_database_without_a_schema_is_told_apart),
		cmocka_unit_test(what_fails_leaves_whole_migrations_only),
		cmocka_unit_test(what_is_missing_is_applied_and_no_more),
		cmocka_unit_test(a_migration_that_was_changed_is_refused),
		cmocka_unit_test(a_migration_of_a_later_build_is_refused),
		cmocka_unit_test(two_at_once_apply_each_one_once),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests(tests, setup, teardown);
}
