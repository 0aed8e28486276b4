#ifndef BACKUP_APP_H
#define BACKUP_APP_H

#include "bus/bus.h"
#include "engine/engine.h"
#include "store/pg.h"
#include "svc/outbox.h"
#include "svc/svc.h"
#include "svc/ticker.h"

#define APP_SCRATCH ".scratch" /* below data_dir; instance-manager takes trials' files from it */

struct work;
struct store_watch;

/* The service's settings, and what it works with. Read-only once started. */
struct app {
	struct svc_common common;

	const char *database_url;
	const char *data_dir;
	const char *encryption_key;
	const char *storage_url;
	const char *r2_access_key_id;
	const char *r2_secret_access_key;
	long long backups_at_once;
	long long store_workers;
	long long full_hours, incremental_hours, drill_hours;
	long long retention_days;
	long long drill_start; /* 0: drills only restore and compare */
	long long dump_hours, dump_retention_days;
	long long storage_mirror; /* 0, 1 */

	struct bus *bus;
	struct pg_pool *db;
	struct storage *storage;
	struct engine *engine;
	struct outbox *outbox;
	struct work *work;
	struct ticker *plan;
	struct store_watch *watch;
	long long learnt_ms; /* monotonic; the plan's own */
};

/* svc_def.check, .start and .stop, and the checks of its health. */
int app_check(void *app, struct err *e);
int app_start(void *app, struct bus *b, struct err *e);
void app_stop(void *app);
int app_check_postgres(void *app, struct err *e);
int app_check_storage(void *app, struct err *e);
int app_check_backups(void *app, struct err *e);
int app_check_mirrors(void *app, struct err *e);

/* once_backup.c */
extern const struct bus_once app_once;

/* After a commit that asked for something: it is begun now, and told now. Any thread. */
void app_wake(struct app *app);

bus_handler on_backup_list, on_backup_get, on_backup_create, on_backup_verify, on_checkpoint,
	on_backup_purge_user;
bus_handler on_restore, on_restore_get;
bus_handler on_backup_files, on_backup_file, on_backup_diff, on_memory_history; /* POOL_STORE */
bus_handler on_admin_list, on_admin_do, on_admin_job, on_admin_usage, on_admin_dumps;

#endif
