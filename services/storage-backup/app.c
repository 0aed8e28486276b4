#include "app.h"

#include "base/clock.h"
#include "store/migrate.h"

#define DATABASE_WAIT_MS 30000 /* a start waits so long for PostgreSQL */
#define DATABASE_STEP_MS 250
#define DATABASE_SPARE   4 /* connections beside those of handlers and workers */

int app_check(void *ctx, struct err *e)
{
	struct app *app = ctx;

	if (app->data_dir[0] != '/')
		return err_field(e, "DATA_DIR", "must be an absolute path");
	if (app->incremental_hours > app->full_hours)
		return err_field(e, "BACKUP_INCREMENTAL_HOURS",
		                 "must not be above BACKUP_FULL_HOURS");
	return 0;
}

/* A database that is not up yet is waited for; one with another schema stops the start. */
static int database_open(struct app *app, struct err *e)
{
	size_t size = (size_t)(app->common.bus_workers + app->backups_at_once) + DATABASE_SPARE;
	long long until_ms = clock_mono_ms() + DATABASE_WAIT_MS;
	char name[64];

	snprintf(name, sizeof(name), "storage-backup %s", bus_instance_id(app->bus));
	if (pg_pool_open(app->database_url, name, size, &app->db, e) < 0)
		return -1;
	for (;;) {
		OWN(pg_conn) struct pg_conn *c = NULL;

		if (pg_take(app->db, &c, e) == 0 && migrate_check(c, "storage-backup", e) == 0)
			return 0;
		if (e->code != ERR_UNAVAILABLE || clock_mono_ms() > until_ms)
			return -1;
		clock_sleep_ms(DATABASE_STEP_MS);
	}
}

int app_start(void *ctx, struct bus *b, struct err *e)
{
	struct app *app = ctx;

	app->bus = b;
	return database_open(app, e);
}

void app_stop(void *ctx)
{
	struct app *app = ctx;

	pg_pool_close(TAKE(app->db));
}

int app_check_postgres(void *ctx, struct err *e)
{
	static const char sql[] = "SELECT 1";
	struct app *app = ctx;
	OWN(pg_conn) struct pg_conn *c = NULL;

	if (pg_take(app->db, &c, e) < 0)
		return -1;
	return pg_query(c, sql, NULL, 0, NULL, e);
}
