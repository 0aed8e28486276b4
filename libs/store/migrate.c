#include "store/migrate.h"

#include "store/pg_conn.h"

#define MIGRATE_LOCK    "7243150101" /* any number that nothing else in this database locks */
#define MIGRATE_STEP_MS 600000       /* one migration, or the wait for another migrator */

static const char sql_table[] =
	"CREATE TABLE IF NOT EXISTS schema_migrations ("
	" service text NOT NULL, version integer NOT NULL CHECK (version > 0),"
	" name text NOT NULL, checksum text NOT NULL,"
	" applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (service, version));"
	"GRANT SELECT ON schema_migrations TO PUBLIC";

static const char sql_applied[] =
	"SELECT service, version, checksum FROM schema_migrations ORDER BY service, version";

static const char sql_note[] =
	"INSERT INTO schema_migrations (service, version, name, checksum) VALUES ($1, $2, $3, $4)";

static const char sql_has_table[] = "SELECT to_regclass('schema_migrations') IS NOT NULL AS has";

static const char sql_of_service[] =
	"SELECT version, checksum FROM schema_migrations WHERE service = $1 ORDER BY version";

static const struct migration *find(const char *service, long long version)
{
	for (size_t i = 0; i < migration_count; i++)
		if (migrations[i].version == version && strcmp(migrations[i].service, service) == 0)
			return &migrations[i];
	return NULL;
}

/* The rows of applied must all be migrations of this build, unchanged. */
static int check_known(const PGresult *applied, const char *only_service, struct err *e)
{
	for (int i = 0; i < PQntuples(applied); i++) {
		const char *service = only_service ? only_service : pg_text(applied, i, "service");
		const struct migration *m;
		long long version = 0;

		if (pg_int(applied, i, "version", &version, e) < 0)
			return -1;
		m = find(service, version);
		if (!m)
			return err_set(e, ERR_CONFLICT,
			               "the database has migration %lld of %s, which this build "
			               "does not know",
			               version, service);
		if (strcmp(m->sha256, pg_text(applied, i, "checksum")) != 0)
			return err_set(e, ERR_CONFLICT,
			               "migration %s of %s was changed after it was applied",
			               m->name, service);
	}
	return 0;
}

static bool is_applied(const PGresult *applied, const struct migration *m)
{
	for (int i = 0; i < PQntuples(applied); i++)
		if (strcmp(pg_text(applied, i, "service"), m->service) == 0 &&
		    strtol(pg_text(applied, i, "version"), NULL, 10) == m->version)
			return true;
	return false;
}

static int apply_one(struct pg_conn *c, const struct migration *m, struct err *e)
{
	OWN(pg_tx) struct pg_tx tx = { 0 };
	char version[12];
	const char *params[] = { m->service, version, m->name, m->sha256 };

	snprintf(version, sizeof(version), "%d", m->version);
	if (pg_begin(c, &tx, e) < 0)
		return -1;
	if (pg_script(c, m->sql, MIGRATE_STEP_MS, e) < 0)
		return err_wrap(e, m->name);
	if (!pg_conn_in_tx(c))
		return err_set(e, ERR_INTERNAL, "%s ends the transaction it runs in", m->name);
	/* A crash before this COMMIT leaves nothing of the migration. */
	if (pg_query(c, sql_note, params, COUNT(params), NULL, e) < 0 || pg_commit(&tx, e) < 0)
		return err_wrap(e, m->name);
	return 0;
}

static int apply_all(struct pg_conn *c, bool (*wants)(const struct migration *m, void *ctx),
                     void (*told)(const struct migration *m, void *ctx), void *ctx, struct err *e)
{
	OWN(pg_result) PGresult *applied = NULL;

	/* The lock is the session's: it goes with the connection, however that ends. */
	if (pg_script(c, "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0",
	              PG_ANSWER_MS, e) < 0 ||
	    pg_script(c, "SELECT pg_advisory_lock(" MIGRATE_LOCK ")", MIGRATE_STEP_MS, e) < 0 ||
	    pg_script(c, sql_table, PG_ANSWER_MS, e) < 0 ||
	    pg_query(c, sql_applied, NULL, 0, &applied, e) < 0 || check_known(applied, NULL, e) < 0)
		return -1;

	for (size_t i = 0; i < migration_count; i++) {
		if (is_applied(applied, &migrations[i]) || (wants && !wants(&migrations[i], ctx)))
			continue;
		if (apply_one(c, &migrations[i], e) < 0)
			return -1;
		if (told)
			told(&migrations[i], ctx);
	}
	return 0;
}

OWN_DEFINE(pool, struct pg_pool *, pg_pool_close)

int migrate_apply(const char *url, void (*told)(const struct migration *m, void *ctx), void *ctx,
                  struct err *e)
{
	return migrate_apply_some(url, NULL, told, ctx, e);
}

int migrate_apply_some(const char *url, bool (*wants)(const struct migration *m, void *ctx),
                       void (*told)(const struct migration *m, void *ctx), void *ctx, struct err *e)
{
	OWN(pool) struct pg_pool *pool = NULL;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_pool_open(url, "zaki-migrate", 1, &pool, e) < 0 || pg_take(pool, &c, e) < 0)
		return -1;
	return apply_all(c, wants, told, ctx, e);
}

int migrate_check(struct pg_conn *c, const char *service, struct err *e)
{
	OWN(pg_result) PGresult *has = NULL, *applied = NULL;
	long long known = 0;

	if (pg_query(c, sql_has_table, NULL, 0, &has, e) < 0)
		return -1;
	if (!pg_bool(has, 0, "has"))
		return err_set(e, ERR_CONFLICT,
		               "the database has no schema yet: run the migrations");
	if (pg_query(c, sql_of_service, &service, 1, &applied, e) < 0 ||
	    check_known(applied, service, e) < 0)
		return -1;
	for (size_t i = 0; i < migration_count; i++)
		known += strcmp(migrations[i].service, service) == 0;
	if (PQntuples(applied) != known)
		return err_set(e, ERR_CONFLICT,
		               "the database has %d of %lld migrations of %s: run the migrations",
		               PQntuples(applied), known, service);
	return 0;
}
