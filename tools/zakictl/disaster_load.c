#include "disaster.h"

#include "base/arena.h"
#include "base/fault.h"
#include "format/mem.h"
#include "store/params.h"
#include "wire/seal.h"

#include <sodium.h>

#define SECRET_ARENA ((size_t)16 << 10)

/* clang-format off */
static const struct table {
	const char *name, *insert, *count_on;
} tables[] = {
#define GIVEN(table)    NULL
#define NUMBERED(table) "SELECT setval(pg_get_serial_sequence('" #table "', 'id')," \
	" coalesce(max(id), 0) + 1, false) FROM " #table
#define DUMP_TABLE(table, ids) { #table, \
	"INSERT INTO " #table " OVERRIDING SYSTEM VALUE" \
	" SELECT * FROM json_populate_recordset(NULL::" #table ", $1::json)", ids(table) },
#include "dump/tables.def"
#undef DUMP_TABLE
};
/* clang-format on */

/* What was true of the lost machine and is not of this one. */
static const char *const fixups[] = {
	"UPDATE instances SET status = CASE desired WHEN 'deleted' THEN status ELSE 'stopped' END,"
	" status_reason = NULL, status_cause = NULL, observed_at = NULL,"
	" applied_generation = restart_generation, applied_config = 0, next_check_at = now(),"
	" wake = wake + 1, lease_owner = NULL, lease_until = NULL, boot_until = NULL,"
	" boot_waiting_since = NULL, probe_misses = 0, restart_times = '{}', retry_at_ms = 0,"
	" exit_code = -1, exit_oom = false, seen_end_ms = 0, ready_run_ms = 0,"
	" not_ready_since_ms = 0, channel = 'down', operation = NULL, hold_id = NULL,"
	" hold_since = NULL, hold_until = NULL, was_ready = was_ready AND desired <> 'deleted'",
	"INSERT INTO disaster_assistants (instance_id, user_id)"
	" SELECT id, user_id FROM instances WHERE desired <> 'deleted'",
	/* Not for ever: a return that nobody goes on with ends some day. */
	"UPDATE instances i SET hold_id = d.restore_id, hold_since = now(),"
	" hold_until = now() + interval '30 days' FROM disaster_assistants d"
	" WHERE d.instance_id = i.id",
	"UPDATE account_deletions SET lease_owner = NULL, lease_until = NULL, next_try_at = now()",
	"DELETE FROM backups WHERE NOT is_stored OR status NOT IN ('done', 'damaged')",
	/* Nothing is backed up before its files are there. */
	"UPDATE backup_targets SET next_full_at = now() + interval '7 days',"
	" next_incremental_at = now() + interval '7 days', created_at = now(), seen_at = now(),"
	" next_drill_at = now() + interval '7 days', problem = ''",
	"UPDATE platform_dump_plan SET next_at = now() + interval '1 hour', created_at = now()",
};

static int must_be_empty(const struct disaster *d, struct err *e)
{
	static const char sql_lock[] =
		"LOCK TABLE users, instances, backups IN SHARE ROW EXCLUSIVE MODE";
	static const char sql[] = "SELECT (SELECT count(*) FROM users) AS users,"
				  " (SELECT count(*) FROM instances) AS instances,"
				  " (SELECT count(*) FROM backups) AS backups";
	OWN(pg_result) PGresult *res = NULL;
	long long users, instances, backups;

	if (pg_query(d->c, sql_lock, NULL, 0, NULL, e) < 0 ||
	    pg_query(d->c, sql, NULL, 0, &res, e) < 0 || pg_int(res, 0, "users", &users, e) < 0 ||
	    pg_int(res, 0, "instances", &instances, e) < 0 ||
	    pg_int(res, 0, "backups", &backups, e) < 0)
		return -1;
	if (users || instances || backups)
		return err_set(e, ERR_CONFLICT,
		               "this platform is not empty: it has %lld accounts, %lld assistants, "
		               "%lld backups",
		               users, instances, backups);
	return 0;
}

/* Rows are put back into tables of the very form that they had. */
static int must_be_of_schema(const struct disaster *d, const struct dump_head *h, struct err *e)
{
	static const char sql[] = "SELECT coalesce(max(version), 0) AS version,"
				  " (SELECT count(DISTINCT service) FROM schema_migrations) AS n"
				  " FROM schema_migrations WHERE service = $1";
	long long version, count = 0;

	for (size_t i = 0; i < h->schema_count; i++) {
		const char *service = h->schemas[i].service;
		OWN(pg_result) PGresult *res = NULL;

		if (pg_query(d->c, sql, &service, 1, &res, e) < 0 ||
		    pg_int(res, 0, "version", &version, e) < 0 ||
		    pg_int(res, 0, "n", &count, e) < 0)
			return -1;
		if (version != h->schemas[i].version)
			return err_set(e, ERR_CONFLICT,
			               "the dump is of schema %lld of %s, this database has %lld: "
			               "see docs/BACKUPS.md",
			               h->schemas[i].version, service, version);
	}
	return count == (long long)h->schema_count
	               ? 0
	               : err_set(e, ERR_CONFLICT, "the dump is of another set of services");
}

static const struct table *table_of(const char *name)
{
	for (size_t i = 0; i < COUNT(tables); i++)
		if (strcmp(tables[i].name, name) == 0)
			return &tables[i];
	return NULL;
}

static int load_part(const struct disaster *d, const struct disaster_dump *dump, size_t i,
                     struct err *e)
{
	const struct dump_part *part = &dump->head.parts[i];
	const struct table *t = table_of(part->table);
	char *text = NULL;
	int r;

	if (!t)
		return err_set(e, ERR_CONFLICT, "the dump has a table that is not known: %s",
		               part->table);
	if (dump_read_part(d->engine, dump->id, &dump->head, i, &text, e) < 0)
		return -1;
	r = pg_query(d->c, t->insert, (const char *[]){ text }, 1, NULL, e);
	sodium_memzero(text, part->len);
	free(text);
	return r < 0 ? err_wrap(e, part->table) : 0;
}

static int load_tables(const struct disaster *d, const struct disaster_dump *dump, struct err *e)
{
	for (size_t i = 0; i < dump->head.part_count; i++)
		if (load_part(d, dump, i, e) < 0)
			return -1;
	for (size_t i = 0; i < COUNT(tables); i++)
		if (tables[i].count_on && pg_query(d->c, tables[i].count_on, NULL, 0, NULL, e) < 0)
			return -1;
	return 0;
}

/* Who was erased after the dump was made stays so. What refers to the account goes with it. */
static int on_erased(void *ctx, const char *user_id, const char *mark, struct err *e)
{
	static const char *const sqls[] = {
		"DELETE FROM audit_instance WHERE user_id = $1",
		"DELETE FROM backups WHERE user_id = $1",
		"DELETE FROM backup_targets WHERE user_id = $1",
	};
	static const char sql_user[] = "DELETE FROM users WHERE id = $1";
	static const char sql_mark[] = "INSERT INTO erased_users (user_id, mark, stored_at)"
				       " VALUES ($1, $2, now()) ON CONFLICT DO NOTHING";
	const struct disaster *d = *(const struct disaster *const *)ctx;
	OWN(pg_result) PGresult *res = NULL;

	for (size_t i = 0; i < COUNT(sqls); i++)
		if (pg_query(d->c, sqls[i], &user_id, 1, NULL, e) < 0)
			return -1;
	if (pg_query(d->c, sql_user, &user_id, 1, &res, e) < 0 ||
	    pg_query(d->c, sql_mark, (const char *[]){ user_id, mark }, 2, NULL, e) < 0)
		return -1;
	if (pg_affected(res) > 0)
		printf("account %s was erased after the dump: it stays so\n", user_id);
	return 0;
}

/* Do the second factors open? As auth seals them (services/auth/factor.c). */
static int factors_check(const struct disaster *d, struct err *e)
{
	static const char sql[] = "SELECT user_id, secret FROM second_factors";
	static const char sql_drop[] = "WITH codes AS (DELETE FROM recovery_codes)"
				       " DELETE FROM second_factors";
	OWN(pg_result) PGresult *res = NULL;
	struct err why = ERR_INIT;
	struct seal seal;
	char place[96], *plain = NULL;
	OWN(arena) struct arena a;

	arena_init(&a, SECRET_ARENA);
	if (d->drops_factors) {
		if (pg_query(d->c, sql_drop, NULL, 0, &res, e) < 0)
			return -1;
		printf("%lld second factors are dropped: their owners sign in by password alone\n",
		       pg_affected(res));
		return 0;
	}
	if (pg_query(d->c, sql, NULL, 0, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	if (!d->identity_key[0])
		return err_field(e, "IDENTITY_KEY",
		                 "is needed: %d people have a second factor; or "
		                 "--without-second-factors",
		                 PQntuples(res));
	if (seal_init(&seal, d->identity_key, e) < 0)
		return err_field(e, "IDENTITY_KEY", "is too short");
	snprintf(place, sizeof(place), "second_factors.secret of %s", pg_text(res, 0, "user_id"));
	if (seal_open(&seal, place, pg_text(res, 0, "secret"), &a, &plain, &why) < 0)
		return err_field(e, "IDENTITY_KEY",
		                 "is not the one that the second factors were sealed with; or "
		                 "--without-second-factors");
	sodium_memzero(plain, strlen(plain));
	sodium_memzero(&seal, sizeof(seal));
	return 0;
}

static int note(const struct disaster *d, const struct disaster_dump *dump, struct err *e)
{
	static const char sql[] = "INSERT INTO disaster_restore (dump_id, dumped_at)"
				  " VALUES ($1, to_timestamp($2::bigint / 1000.0))";
	static const char sql_count[] = "SELECT (SELECT count(*) FROM users) AS users,"
					" (SELECT count(*) FROM disaster_assistants) AS assistants";
	OWN(pg_result) PGresult *res = NULL;
	struct params p = { 0 };

	params_text(&p, dump->id);
	params_int(&p, dump->head.created_ms);
	if (pg_query(d->c, sql, p.values, p.count, NULL, e) < 0 ||
	    pg_query(d->c, sql_count, NULL, 0, &res, e) < 0)
		return -1;
	printf("%s accounts and %s assistants\n", pg_text(res, 0, "users"),
	       pg_text(res, 0, "assistants"));
	(void)fflush(stdout);
	return 0;
}

int disaster_load(const struct disaster *d, const struct disaster_dump *dump, struct err *e)
{
	/* Between two statements it reads the store. */
	static const char sql_idle[] = "SET LOCAL idle_in_transaction_session_timeout = '15min'";

	if (pg_query(d->c, sql_idle, NULL, 0, NULL, e) < 0 ||
	    must_be_of_schema(d, &dump->head, e) < 0 || must_be_empty(d, e) < 0 ||
	    load_tables(d, dump, e) < 0 || dump_erased(d->engine, on_erased, &d, e) < 0 ||
	    factors_check(d, e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(fixups); i++)
		if (pg_query(d->c, fixups[i], NULL, 0, NULL, e) < 0)
			return -1;
	return note(d, dump, e);
}
