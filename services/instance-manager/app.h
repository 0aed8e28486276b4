#ifndef APP_H
#define APP_H

#include "base/tier.h"
#include "bus/bus.h"
#include "engine.h"
#include "files.h"
#include "instance.h"
#include "outbox.h"
#include "store/pg.h"
#include "svc/svc.h"
#include "vault.h"

#include "net/http.h"

struct awaiter;
struct glance;
struct holder;
struct keeper;
struct links;
struct reconciler;
struct watch;

/* The service's settings, and what it works with. Read-only once started. */
struct app {
	struct svc_common common;

	const char *database_url;
	const char *docker_host;
	const char *data_dir;
	const char *openclaw_image;
	const char *encryption_key;
	const char *telegram_api_url; /* as this process reaches it */
	const char
		*openclaw_telegram_api_url; /* as the containers do; "": OpenClaw's own default */
	const char *default_model;
	const char *default_provider_base_url;
	const char *default_provider_api_key;
	long long default_input_price_micros, default_output_price_micros; /* a million tokens */
	const char *instance_network;
	const char *instance_reach;
	long long instances[TIER_COUNT]; /* a user's, by tier */
	long long port_min, port_max;
	long long stop_grace_s, ready_timeout_s;
	long long provision_max; /* that boot at a time */
	long long owner_link_s;  /* 0: people pair at once */
	long long provider_private;
	long long link_workers; /* requests to assistants' gateways at a time */

	enum container_reach reach;
	char platform_id[UUID_SIZE];
	char holder_id[24]; /* of this process: bus_instance_id() */
	struct bus *bus;
	struct pg_pool *db;
	struct vault *vault;
	struct files *files;
	struct engine *engine;
	struct http_client *telegram;
	struct http_client *probes;
	struct http_client *providers;    /* those that people brought */
	struct http_client *platform_llm; /* the platform's own, wherever that is */
	struct outbox *outbox;
	struct glance *glance;
	struct reconciler *reconciler;
	struct keeper *keeper;
	struct watch *watch;
	struct links *links;
	struct holder *holder;
	struct awaiter *awaiter;
};

/* start.c: svc_def.start and .stop, and the checks of its health. */
int app_check(void *app, struct err *e);
int app_start(void *app, struct bus *b, struct err *e);
void app_stop(void *app);
int app_check_postgres(void *app, struct err *e);
int app_check_engine(void *app, struct err *e);

/* once_instance.c */
extern const struct bus_once app_once;

/* After a commit that asked for something: it is looked at now, and told now. Any thread. */
void app_wake(struct app *app);

/* provider/handlers.c: is this provider of a new instance one, as it says itself? Fields are below
 * "provider". */
int provider_check_new(struct app *app, const struct provider_req *in, struct err *e);

bus_handler on_provider_list, on_provider_put, on_provider_delete, on_model_list;
bus_handler on_settings_get, on_settings_update, on_persona_list;
bus_handler on_activity_list, on_activity_add, on_logs;
bus_handler on_memory_list, on_memory_get, on_memory_put, on_memory_delete;

bus_handler on_check_token, on_create, on_list, on_get, on_update, on_delete, on_start, on_stop,
	on_restart, on_purge_user, on_state, on_list_all, on_hold, on_trial, on_link_ask,
	on_session_page, on_session_messages, on_session_rename, on_session_delete, on_channel_list,
	on_pairing_list, on_pairing_approve, on_pairing_dismiss, on_chat_send, on_chat_stop,
	on_usage_get, on_usage_limit, on_job_list, on_job_add, on_job_edit, on_job_remove,
	on_job_run, on_job_runs, on_task_list, on_instance_admin_list, on_instance_admin_upgrade,
	on_instance_admin_upgrade_get;

#endif
