/* Keeps assistants' files safe: backups in a store that can read none of it, proof that they are
 * good, restores. Owns the tables of sql/. */

#include "app.h"

#define POOL_MAIN  0
#define POOL_STORE 1 /* calls that read the store, which may take its time */

/* clang-format off */
#define AT(field) offsetof(struct app, field)

static const struct conf_key conf[] = {
	/* environment             type      where                       default  min  max   secret */
	{ "DATABASE_URL",            CONF_STR, AT(database_url),         NULL, 8, 4096, true,
	  "PostgreSQL, as the role zaki_storage_backup: postgresql://USER:PASSWORD@HOST:PORT/DATABASE" },
	{ "DATA_DIR",                CONF_STR, AT(data_dir),             NULL, 2, 512, false,
	  "Directory of all assistants' files; the same as instance-manager's" },
	{ "ENCRYPTION_KEY",          CONF_STR, AT(encryption_key),       NULL, 32, 4096, true,
	  "Each person's backups are sealed under a key that is derived from it; without it they are lost" },
	{ "STORAGE_URL",             CONF_STR, AT(storage_url),          NULL, 8, 1024, false,
	  "Where backups lie: file:///DIRECTORY or s3://ENDPOINT/BUCKET (R2 or any S3)" },
	{ "R2_ACCESS_KEY_ID",        CONF_STR, AT(r2_access_key_id),     "", 0, 256, true,
	  "Access key of an s3:// store" },
	{ "R2_SECRET_ACCESS_KEY",    CONF_STR, AT(r2_secret_access_key), "", 0, 1024, true,
	  "Secret key of an s3:// store" },
	{ "BACKUPS_AT_ONCE",         CONF_INT, AT(backups_at_once),      "2", 1, 64, false,
	  "Backups, restores, proofs and clearings that this process works on at a time" },
	{ "BACKUP_READERS",          CONF_INT, AT(store_workers),        "4", 1, 64, false,
	  "Requests at a time that look into backups" },
	{ "BACKUP_FULL_HOURS",       CONF_INT, AT(full_hours),           "24", 1, 8760, false,
	  "Hours between full backups of an assistant" },
	{ "BACKUP_INCREMENTAL_HOURS", CONF_INT, AT(incremental_hours),   "6", 1, 8760, false,
	  "Hours between its incremental ones" },
	{ "BACKUP_DRILL_HOURS",      CONF_INT, AT(drill_hours),          "168", 1, 8760, false,
	  "Hours between restore drills, which prove the newest backup" },
	{ "BACKUP_DRILL_START",      CONF_INT, AT(drill_start),          "1", 0, 1, false,
	  "1: a drill also starts the assistant, without a network, from what it restored" },
	{ "PLATFORM_DUMP_HOURS",     CONF_INT, AT(dump_hours),           "24", 1, 8760, false,
	  "Hours between dumps of the platform's own tables" },
	{ "PLATFORM_DUMP_RETENTION_DAYS", CONF_INT, AT(dump_retention_days), "7", 1, 3650, false,
	  "Days that such a dump is kept; the newest two always are" },
	{ "BACKUP_RETENTION_DAYS",   CONF_INT, AT(retention_days),       "30", 1, 3650, false,
	  "Days that a backup is kept; the newest good one of an assistant always is" },
	{ "STORAGE_MIRROR",          CONF_INT, AT(storage_mirror),       "0", 0, 1, false,
	  "1: the newest backup also lies in the store as plain files, which the store can read" },
};

static const struct bus_route routes[] = {
	{ SUBJ_BACKUP_LIST,        on_backup_list,       POOL_MAIN },
	{ SUBJ_BACKUP_CREATE,      on_backup_create,     POOL_MAIN },
	{ SUBJ_BACKUP_GET,         on_backup_get,        POOL_MAIN },
	{ SUBJ_BACKUP_FILES,       on_backup_files,      POOL_STORE },
	{ SUBJ_BACKUP_FILE,        on_backup_file,       POOL_STORE },
	{ SUBJ_BACKUP_DIFF,        on_backup_diff,       POOL_STORE },
	{ SUBJ_BACKUP_VERIFY,      on_backup_verify,     POOL_MAIN },
	{ SUBJ_BACKUP_RESTORE,     on_restore,           POOL_MAIN },
	{ SUBJ_RESTORE_GET,        on_restore_get,       POOL_MAIN },
	{ SUBJ_MEMORY_HISTORY,     on_memory_history,    POOL_STORE },
	{ SUBJ_BACKUP_PURGE_USER,  on_backup_purge_user, POOL_MAIN },
	{ SUBJ_BACKUP_CHECKPOINT,  on_checkpoint,        POOL_MAIN },
	{ SUBJ_BACKUP_ADMIN_LIST,  on_admin_list,        POOL_MAIN },
	{ SUBJ_BACKUP_ADMIN_DO,    on_admin_do,          POOL_MAIN },
	{ SUBJ_BACKUP_ADMIN_JOB,   on_admin_job,         POOL_MAIN },
	{ SUBJ_BACKUP_ADMIN_USAGE, on_admin_usage,       POOL_STORE },
	{ SUBJ_BACKUP_ADMIN_DUMPS, on_admin_dumps,       POOL_MAIN },
	{ SUBJ_BACKUP_HEALTH,      svc_on_health,        POOL_MAIN },
};

static const struct svc_pool pools[] = {
	{ "store", offsetof(struct app, store_workers), offsetof(struct app, common.bus_queue_max) },
};

static const struct svc_health health[] = {
	{ "postgres", app_check_postgres },
	{ "storage",  app_check_storage },
	{ "backups",  app_check_backups },
	{ "mirrors",  app_check_mirrors },
};
/* clang-format on */

static const struct svc_def def = {
	.name = "storage-backup",
	.summary = "backups of assistants' files, proofs and restores",
	.common_offset = offsetof(struct app, common),
	SVC_TABLE(conf, conf),
	SVC_TABLE(route, routes),
	SVC_TABLE(pool, pools),
	SVC_TABLE(health, health),
	.once = &app_once,
	.check = app_check,
	.start = app_start,
	.stop = app_stop,
};

int main(int argc, char **argv)
{
	static struct app app;

	return svc_main(&def, &app, argc, argv);
}
