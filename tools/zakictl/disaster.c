/* zakictl disaster-restore: a platform out of its store, onto an empty machine. */

#include "disaster.h"

#include "command.h"

#include "base/fault.h"
#include "store/migrate.h"

#define LOCK "7310579609402703203" /* advisory: one at a time */

struct settings {
	const char *database_url, *encryption_key, *identity_key;
	const char *storage_url, *access_key, *secret_key;
};

/* clang-format off */
#define AT(field) offsetof(struct settings, field)
static const struct conf_key conf[] = {
	{ "DATABASE_URL", CONF_STR, AT(database_url), NULL, 1, 4096, true,
	  "PostgreSQL, empty, as the role that owns the tables" },
	{ "STORAGE_URL", CONF_STR, AT(storage_url), NULL, 8, 1024, false,
	  "Where the backups lie: file:///DIRECTORY or s3://ENDPOINT/BUCKET" },
	{ "R2_ACCESS_KEY_ID", CONF_STR, AT(access_key), "", 0, 256, true,
	  "Access key of an s3:// store" },
	{ "R2_SECRET_ACCESS_KEY", CONF_STR, AT(secret_key), "", 0, 1024, true,
	  "Secret key of an s3:// store" },
	{ "ENCRYPTION_KEY", CONF_STR, AT(encryption_key), NULL, 32, 4096, true,
	  "That of the lost platform: opens the store, bot tokens and provider keys" },
	{ "IDENTITY_KEY", CONF_STR, AT(identity_key), "", 0, 4096, true,
	  "That of the lost platform: opens people's second factors; needed where there are any" },
};
/* clang-format on */

struct asked {
	bool is_dry, drops_factors;
	const char *dump;
};

static int asked_parse(int argc, char **argv, struct asked *ret, struct err *e)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--dry-run") == 0)
			ret->is_dry = true;
		else if (strcmp(argv[i], "--without-second-factors") == 0)
			ret->drops_factors = true;
		else if (strcmp(argv[i], "--dump") == 0 && i + 1 < argc)
			ret->dump = argv[++i];
		else
			return err_field(e, argv[i], "is not known here; see --help");
	}
	return 0;
}

/* ---- the schema --------------------------------------------------------------------------------- */

static bool is_of_dump(const struct migration *m, void *ctx)
{
	const struct dump_head *h = ctx;

	for (size_t i = 0; i < h->schema_count; i++)
		if (strcmp(h->schemas[i].service, m->service) == 0)
			return m->version <= h->schemas[i].version;
	return false;
}

static int has_schema(struct pg_conn *c, bool *ret, struct err *e)
{
	static const char sql[] = "SELECT to_regclass('schema_migrations') IS NOT NULL AS has";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	*ret = pg_bool(res, 0, "has");
	return 0;
}

/* A database without one gets it as it was when the dump was made; what came later comes after the
 * rows are in, so that it changes them too. */
static int schema_make(const struct settings *s, const struct disaster *d,
                       struct disaster_dump *dump, struct err *e)
{
	bool is_there = false;

	if (has_schema(d->c, &is_there, e) < 0)
		return -1;
	if (is_there)
		return 0;
	if (d->is_dry)
		return err_set(e, ERR_CONFLICT,
		               "the database has no schema yet, in which this could be tried");
	printf("the schema is made as it was then\n");
	return migrate_apply_some(s->database_url, is_of_dump, NULL, &dump->head, e);
}

/* ---- the steps ---------------------------------------------------------------------------------- */

/* Is one under way? *ret_dump: which; "": none. */
static int under_way(const struct disaster *d, char ret_dump[DUMP_ID_SIZE], struct err *e)
{
	static const char sql_has[] = "SELECT to_regclass('disaster_restore') IS NOT NULL AS has";
	static const char sql[] = "SELECT dump_id, finished_at::timestamp(0)::text AS finished"
				  " FROM disaster_restore";
	OWN(pg_result) PGresult *has = NULL, *res = NULL;

	ret_dump[0] = '\0';
	if (pg_query(d->c, sql_has, NULL, 0, &has, e) < 0)
		return -1;
	if (!pg_bool(has, 0, "has"))
		return 0;
	if (pg_query(d->c, sql, NULL, 0, &res, e) < 0)
		return -1;
	if (PQntuples(res) == 0)
		return 0;
	if (pg_text(res, 0, "finished"))
		return err_set(e, ERR_CONFLICT,
		               "this platform is not empty: it was restored from dump %s, "
		               "finished at %s",
		               pg_text(res, 0, "dump_id"), pg_text(res, 0, "finished"));
	snprintf(ret_dump, DUMP_ID_SIZE, "%s", pg_text(res, 0, "dump_id"));
	return 0;
}

static int try_dry(const struct disaster *d, const struct disaster_dump *dump, struct err *e)
{
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (pg_begin(d->c, &tx, e) < 0 || disaster_load(d, dump, e) < 0 ||
	    disaster_choose(d, e) < 0)
		return -1;
	printf("this is what would be done; nothing was\n");
	return 0;
}

static int load(const struct settings *s, const struct disaster *d, struct disaster_dump *dump,
                struct err *e)
{
	OWN(pg_tx) struct pg_tx tx = { 0 };

	if (pg_begin(d->c, &tx, e) < 0 || disaster_load(d, dump, e) < 0)
		return -1;
	/* A crash here: the platform is empty still. */
	fault_point("disaster.loading");
	if (pg_commit(&tx, e) < 0)
		return -1;
	fault_point("disaster.loaded");
	return migrate_apply(s->database_url, NULL, NULL, e);
}

static int begin(const struct settings *s, const struct disaster *d, const char *dump_id,
                 struct err *e)
{
	struct disaster_dump dump = { .id = "" };
	int r = disaster_find(d->engine, dump_id, &dump, e) < 0 ||
	                        schema_make(s, d, &dump, e) < 0 ||
	                        (d->is_dry ? try_dry(d, &dump, e) : load(s, d, &dump, e)) < 0
	                ? -1
	                : 0;

	dump_head_done(&dump.head);
	return r;
}

static int restore(const struct settings *s, const struct disaster *d, const struct asked *asked,
                   struct err *e)
{
	char dump[DUMP_ID_SIZE];
	long long failed = 0;

	if (under_way(d, dump, e) < 0)
		return -1;
	if (dump[0] && (d->is_dry || (asked->dump && strcmp(asked->dump, dump) != 0)))
		return err_set(
			e, ERR_CONFLICT,
			"a return from dump %s is under way: run it without options to go on",
			dump);
	if (dump[0])
		printf("going on with the return from dump %s\n", dump);
	/* Migrations that a crash kept from following the rows. */
	if (dump[0] ? migrate_apply(s->database_url, NULL, NULL, e) < 0
	            : begin(s, d, asked->dump, e) < 0)
		return -1;
	if (d->is_dry)
		return 0;
	if (disaster_choose(d, e) < 0 || disaster_follow(d, e) < 0 ||
	    disaster_end(d, &failed, e) < 0)
		return -1;
	return failed ? err_set(e, ERR_CONFLICT, "%lld assistants could not be restored", failed)
	              : 0;
}

OWN_DEFINE(pool, struct pg_pool *, pg_pool_close)

static int alone(struct pg_conn *c, struct err *e)
{
	static const char sql[] = "SELECT pg_try_advisory_lock(" LOCK ") AS got";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(c, sql, NULL, 0, &res, e) < 0)
		return -1;
	/* The lock is the session's: it goes with the connection, however that ends. */
	return pg_bool(res, 0, "got") ? 0
	                              : err_set(e, ERR_CONFLICT, "another one is at work already");
}

static int run(int argc, char **argv, struct err *e)
{
	struct settings s;
	struct asked asked = { .dump = NULL };
	struct disaster d = { 0 };
	OWN(storage) struct storage *storage = NULL;
	OWN(engine) struct engine *engine = NULL;
	OWN(pool) struct pg_pool *pool = NULL;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (asked_parse(argc, argv, &asked, e) < 0 || conf_load(conf, COUNT(conf), &s, e) < 0 ||
	    storage_open(&(struct storage_opt){ .url = s.storage_url,
	                                        .access_key = s.access_key,
	                                        .secret_key = s.secret_key },
	                 &storage, e) < 0 ||
	    engine_open(
		    &(struct engine_opt){ .storage = storage,
	                                  .secrets = (const char *[]){ s.encryption_key, NULL } },
		    &engine, e) < 0 ||
	    pg_pool_open(s.database_url, "zakictl", 1, &pool, e) < 0 || pg_take(pool, &c, e) < 0 ||
	    alone(c, e) < 0)
		return -1;
	d = (struct disaster){ .engine = engine,
		               .c = c,
		               .identity_key = s.identity_key,
		               .is_dry = asked.is_dry,
		               .drops_factors = asked.drops_factors };
	return restore(&s, &d, &asked, e);
}

const struct command command_disaster = {
	.name = "disaster-restore",
	.usage = "[--dry-run] [--dump ID] [--without-second-factors]",
	.summary = "rebuilds the platform and all assistants from the backup store",
	.help = "Needs an empty platform, the store, and the lost platform's secrets; the daemons "
		"may\n"
		"run, and storage-backup and instance-manager must, with the same secrets and "
		"store,\n"
		"to bring back the assistants' files. May be killed at any time and run again.\n"
		"  --dry-run                 does all of it but keep it, and says what it would "
		"do\n"
		"  --dump ID                 this dump, not the newest that is whole\n"
		"  --without-second-factors  where IDENTITY_KEY is lost: people sign in by "
		"password\n"
		"Exit status 1 where anything could not be brought back.\n",
	.conf = conf,
	.conf_count = COUNT(conf),
	.run = run,
};
