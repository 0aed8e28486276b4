/* Creates, watches, mends and removes people's OpenClaw containers. Owns instances and all that
 * hangs on them (sql/). */

#include "app.h"

#include "settings.h"

/* clang-format off */
static const struct bus_route routes[] = {
	{ SUBJ_INSTANCE_CHECK_TOKEN, on_check_token, 1 },
	{ SUBJ_INSTANCE_CREATE,      on_create,      1 },
	{ SUBJ_INSTANCE_UPDATE,      on_update,      1 },
	{ SUBJ_INSTANCE_LIST,        on_list,        0 },
	{ SUBJ_INSTANCE_GET,         on_get,         0 },
	{ SUBJ_INSTANCE_DELETE,      on_delete,      0 },
	{ SUBJ_INSTANCE_START,       on_start,       0 },
	{ SUBJ_INSTANCE_STOP,        on_stop,        0 },
	{ SUBJ_INSTANCE_RESTART,     on_restart,     0 },
	{ SUBJ_INSTANCE_PURGE_USER,  on_purge_user,  0 },
	{ SUBJ_INSTANCE_STATE,       on_state,       0 },
	{ SUBJ_INSTANCE_HEALTH,      svc_on_health,  0 },
};
static const struct svc_health health[] = {
	{ "database", app_check_database },
	{ "engine",   app_check_engine },
};
/* clang-format on */

int main(int argc, char **argv)
{
	static struct app app;
	const struct svc_def def = {
		.name = "instance-manager",
		.summary = "runs an assistant's container for each instance",
		.common_offset = offsetof(struct app, common),
		.conf = settings_table,
		.conf_count = settings_count,
		SVC_TABLE(route, routes),
		SVC_TABLE(health, health),
		SVC_TABLE(pool, settings_pools),
		.once = &app_once,
		.start = app_start,
		.quiesce = app_quiesce,
		.stop = app_stop,
	};

	return svc_main(&def, &app, argc, argv);
}
