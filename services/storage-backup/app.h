#ifndef BACKUP_APP_H
#define BACKUP_APP_H

#include "bus/bus.h"
#include "store/pg.h"
#include "svc/svc.h"

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
	long long full_hours, incremental_hours, drill_hours;
	long long retention_days;

	struct bus *bus;
	struct pg_pool *db;
};

/* svc_def.check, .start and .stop, and the checks of its health. */
int app_check(void *app, struct err *e);
int app_start(void *app, struct bus *b, struct err *e);
void app_stop(void *app);
int app_check_postgres(void *app, struct err *e);

#endif
