#include "app.h"

#include "job.h"
#include "mirror_row.h"
#include "plan.h"
#include "store_watch.h"
#include "work.h"

#include "svc/postgres.h"

#define DATABASE_SPARE   6 /* connections beside those of handlers and workers */
#define LEARN_AT_ONCE_MS (1LL << 40)

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

static int database_open(struct app *app, struct err *e)
{
	size_t size =
		(size_t)(app->common.bus_workers + app->store_workers + app->backups_at_once + 1) +
		DATABASE_SPARE;
	char name[64];

	snprintf(name, sizeof(name), JOB_APP "%s", bus_instance_id(app->bus));
	return pg_pool_open(app->database_url, name, size, &app->db, e) < 0
	               ? -1
	               : postgres_wait(app->db, "storage-backup", e);
}

/* Both check their settings and ask nothing of an S3. */
static int store_open(struct app *app, struct err *e)
{
	const struct storage_opt storage = { .url = app->storage_url,
		                             .access_key = app->r2_access_key_id,
		                             .secret_key = app->r2_secret_access_key };
	const char *const secrets[] = { app->encryption_key, NULL };
	char scratch[600];
	struct engine_opt engine = { .secrets = secrets, .scratch_dir = scratch };

	if (storage_open(&storage, &app->storage, e) < 0)
		return -1;
	/* On the disk of the assistants' files, where there is place for a copy of a database. */
	snprintf(scratch, sizeof(scratch), "%s/" APP_SCRATCH, app->data_dir);
	engine.storage = app->storage;
	return engine_open(&engine, &app->engine, e);
}

int app_start(void *ctx, struct bus *b, struct err *e)
{
	struct app *app = ctx;

	app->bus = b;
	app->learnt_ms = -LEARN_AT_ONCE_MS;
	if (database_open(app, e) < 0 || store_open(app, e) < 0 ||
	    outbox_start(OUTBOX_BACKUP, app->db, b, &app->outbox, e) < 0 ||
	    store_watch_start(app->storage, &app->watch, e) < 0 ||
	    work_start(app, &app->work, e) < 0)
		return -1;
	return ticker_start(plan_work, app, PLAN_MS, &app->plan, e);
}

/* The bus has drained. Who begins things ends before who carries them out, and events go last. */
void app_stop(void *ctx)
{
	struct app *app = ctx;

	ticker_stop(TAKE(app->plan));
	work_stop(app->work);
	app->work = NULL;
	store_watch_stop(TAKE(app->watch));
	outbox_stop(TAKE(app->outbox));
	engine_close(TAKE(app->engine));
	storage_close(TAKE(app->storage));
	pg_pool_close(TAKE(app->db));
}

void app_wake(struct app *app)
{
	work_wake(app->work);
	outbox_wake(app->outbox);
}

int app_check_postgres(void *ctx, struct err *e)
{
	struct app *app = ctx;

	return postgres_check(app->db, e);
}

int app_check_storage(void *ctx, struct err *e)
{
	struct app *app = ctx;

	return store_watch_check(app->watch, e);
}

int app_check_backups(void *ctx, struct err *e)
{
	return plan_check(ctx, e);
}

int app_check_mirrors(void *ctx, struct err *e)
{
	return mirror_check(ctx, e);
}
