/* Makes, watches, mends and removes people's OpenClaw containers. Owns the table instances and what
 * hangs on it (sql/). */

#include "app.h"

#include "openclaw_config.h"

#define POOL_MAIN    0
#define POOL_OUTSIDE 1 /* calls that ask Telegram, which may take its time */
#define POOL_FILES   2 /* calls that read and write people's files */
#define POOL_LINK    3 /* calls that ask an assistant's gateway, likewise */
#define POOL_HOLDER  4 /* the same for other instance-managers: else two could wait for each other */

/* clang-format off */
#define AT(field) offsetof(struct app, field)

static const struct conf_key conf[] = {
	/* environment              type      where                          default  min    max    secret */
	{ "DATABASE_URL",             CONF_STR, AT(database_url),              NULL, 8, 4096, true,
	  "PostgreSQL, as the role zaki_instance_manager: postgresql://USER:PASSWORD@HOST:PORT/DATABASE" },
	{ "DOCKER_HOST",              CONF_STR, AT(docker_host), "unix:///var/run/docker.sock", 8, 256, false,
	  "Container engine: unix:///PATH or tcp://ADDRESS:PORT" },
	{ "DATA_DIR",                 CONF_STR, AT(data_dir),                  NULL, 2, 512, false,
	  "Directory of all assistants' files; the same path for the engine" },
	{ "OPENCLAW_IMAGE",           CONF_STR, AT(openclaw_image),            NULL, 1, 256, false,
	  "Image of the assistants' containers" },
	{ "ENCRYPTION_KEY",           CONF_STR, AT(encryption_key),            NULL, VAULT_SECRET_MIN, 4096, true,
	  "Seals bot tokens and provider keys in the database" },
	{ "TELEGRAM_API_URL",         CONF_STR, AT(telegram_api_url), "https://api.telegram.org", 8, 512, false,
	  "Telegram's Bot API, as this service reaches it" },
	{ "OPENCLAW_TELEGRAM_API_URL",   CONF_STR, AT(openclaw_telegram_api_url), "", 0, 512, false,
	  "Telegram's Bot API, as the containers reach it; empty: OpenClaw's own default" },
	{ "DEFAULT_MODEL",            CONF_STR, AT(default_model),             "", 0, 200, false,
	  "Model of assistants for which none is chosen: provider/model; empty: each must name one" },
	{ "DEFAULT_PROVIDER_BASE_URL",   CONF_STR, AT(default_provider_base_url), "", 0, 512, false,
	  "OpenAI-compatible API of the default model's provider; empty: the provider's own" },
	{ "DEFAULT_PROVIDER_API_KEY", CONF_STR, AT(default_provider_api_key),  "", 0, 512, true,
	  "Key of the default model's provider, for people who bring none" },
	{ "DEFAULT_INPUT_PRICE_MICROS",  CONF_INT, AT(default_input_price_micros),  "0", 0, OPENCLAW_PRICE_MAX, false,
	  "What a million tokens cost that go to the model at DEFAULT_PROVIDER_BASE_URL, in millionths of a dollar" },
	{ "DEFAULT_OUTPUT_PRICE_MICROS", CONF_INT, AT(default_output_price_micros), "0", 0, OPENCLAW_PRICE_MAX, false,
	  "The same for tokens that come from it" },
	{ "PROVIDER_ALLOW_PRIVATE",   CONF_INT, AT(provider_private),          "0", 0, 1, false,
	  "1: LLM providers that people bring may be at private and loopback addresses" },
#define TIER(id, name, assistants, ...)                                                     \
	{ "INSTANCES_" #id, CONF_INT, AT(instances[TIER_##id]), #assistants, 0, 1000, false, \
	  "Assistants a user of the tier " name " may have" },
#include "base/tiers.def"
#undef TIER
	{ "INSTANCE_PORT_MIN",        CONF_INT, AT(port_min),                  "20000", 1, 65535, false,
	  "First of the ports on 127.0.0.1 for assistants' gateways" },
	{ "INSTANCE_PORT_MAX",        CONF_INT, AT(port_max),                  "29999", 1, 65535, false,
	  "Last of these ports" },
	{ "INSTANCE_STOP_GRACE_S",    CONF_SEC, AT(stop_grace_s),              "10", 1, 300, false,
	  "Seconds between asking a container to stop and killing it" },
	{ "INSTANCE_READY_TIMEOUT_S", CONF_SEC, AT(ready_timeout_s),           "180", 1, 3600, false,
	  "Seconds an assistant may take from its start until it is ready" },
	{ "PROVISION_MAX",            CONF_INT, AT(provision_max),             "4", 1, 256, false,
	  "Assistants that start at a time" },
	{ "OWNER_LINK_S",             CONF_SEC, AT(owner_link_s),              "900", 0, 86400, false,
	  "Seconds in which the link of a new assistant makes whoever opens it its owner; 0: no links" },
	{ "LINK_WORKERS",             CONF_INT, AT(link_workers),              "16", 1, 256, false,
	  "Requests that assistants' gateways are asked at a time" },
	{ "INSTANCE_NETWORK",         CONF_STR, AT(instance_network),          "zaki", 1, 64, false,
	  "Network of the containers; made where it is missing" },
	{ "INSTANCE_REACH",           CONF_STR, AT(instance_reach),            "host", 4, 7, false,
	  "host: through a port on 127.0.0.1; network: at the container's own address" },
};

static const struct bus_route routes[] = {
	{ SUBJ_INSTANCE_CHECK_TOKEN, on_check_token, POOL_OUTSIDE },
	{ SUBJ_INSTANCE_CREATE,      on_create,      POOL_OUTSIDE },
	{ SUBJ_INSTANCE_UPDATE,      on_update,      POOL_OUTSIDE },
	{ SUBJ_INSTANCE_LIST,        on_list,        POOL_MAIN },
	{ SUBJ_INSTANCE_GET,         on_get,         POOL_MAIN },
	{ SUBJ_INSTANCE_DELETE,      on_delete,      POOL_MAIN },
	{ SUBJ_INSTANCE_START,       on_start,       POOL_MAIN },
	{ SUBJ_INSTANCE_STOP,        on_stop,        POOL_MAIN },
	{ SUBJ_INSTANCE_RESTART,     on_restart,     POOL_MAIN },
	{ SUBJ_PROVIDER_LIST,        on_provider_list, POOL_MAIN },
	{ SUBJ_PROVIDER_PUT,         on_provider_put, POOL_OUTSIDE },
	{ SUBJ_PROVIDER_DELETE,      on_provider_delete, POOL_MAIN },
	{ SUBJ_MODEL_LIST,           on_model_list,  POOL_OUTSIDE },
	{ SUBJ_SETTINGS_GET,         on_settings_get, POOL_MAIN },
	{ SUBJ_SETTINGS_UPDATE,      on_settings_update, POOL_FILES },
	{ SUBJ_PERSONA_LIST,         on_persona_list, POOL_MAIN },
	{ SUBJ_ACTIVITY_LIST,        on_activity_list, POOL_MAIN },
	{ SUBJ_ACTIVITY_ADD,         on_activity_add, POOL_MAIN },
	{ SUBJ_LOGS,                 on_logs,        POOL_OUTSIDE },
	{ SUBJ_MEMORY_LIST,          on_memory_list, POOL_FILES },
	{ SUBJ_MEMORY_GET,           on_memory_get,  POOL_FILES },
	{ SUBJ_MEMORY_PUT,           on_memory_put,  POOL_FILES },
	{ SUBJ_MEMORY_DELETE,        on_memory_delete, POOL_FILES },
	{ SUBJ_INSTANCE_PURGE_USER,  on_purge_user,  POOL_MAIN },
	{ SUBJ_INSTANCE_STATE,       on_state,       POOL_MAIN },
	{ SUBJ_INSTANCE_LIST_ALL,    on_list_all,    POOL_MAIN },
	{ SUBJ_INSTANCE_HOLD,        on_hold,        POOL_MAIN },
	{ SUBJ_INSTANCE_TRIAL,       on_trial,       POOL_OUTSIDE },
	{ SUBJ_INSTANCE_ADMIN_LIST,  on_instance_admin_list,  POOL_MAIN },
	{ SUBJ_INSTANCE_ADMIN_UPGRADE, on_instance_admin_upgrade, POOL_OUTSIDE },
	{ SUBJ_INSTANCE_ADMIN_UPGRADE_GET, on_instance_admin_upgrade_get, POOL_MAIN },
	{ SUBJ_SESSION_LIST,        on_session_page,     POOL_MAIN },
	{ SUBJ_SESSION_MESSAGES,    on_session_messages, POOL_LINK },
	{ SUBJ_SESSION_RENAME,      on_session_rename,   POOL_LINK },
	{ SUBJ_SESSION_DELETE,      on_session_delete,   POOL_LINK },
	{ SUBJ_CHANNEL_LIST,        on_channel_list,     POOL_LINK },
	{ SUBJ_CHAT_SEND,           on_chat_send,        POOL_LINK },
	{ SUBJ_CHAT_STOP,           on_chat_stop,        POOL_LINK },
	{ SUBJ_PAIRING_LIST,        on_pairing_list,     POOL_LINK },
	{ SUBJ_PAIRING_APPROVE,     on_pairing_approve,  POOL_LINK },
	{ SUBJ_PAIRING_DISMISS,     on_pairing_dismiss,  POOL_LINK },
	{ SUBJ_USAGE_GET,           on_usage_get,        POOL_LINK },
	{ SUBJ_USAGE_LIMIT,         on_usage_limit,      POOL_LINK },
	{ SUBJ_JOB_LIST,            on_job_list,         POOL_LINK },
	{ SUBJ_JOB_ADD,             on_job_add,          POOL_LINK },
	{ SUBJ_JOB_EDIT,            on_job_edit,         POOL_LINK },
	{ SUBJ_JOB_REMOVE,          on_job_remove,       POOL_LINK },
	{ SUBJ_JOB_RUN,             on_job_run,          POOL_LINK },
	{ SUBJ_JOB_RUNS,            on_job_runs,         POOL_LINK },
	{ SUBJ_TASK_LIST,           on_task_list,        POOL_LINK },
	{ SUBJ_LINK_ASK,            on_link_ask,         POOL_HOLDER },
	{ SUBJ_INSTANCE_HEALTH,      svc_on_health,  POOL_MAIN },
};

static const enum subject_id direct[] = { SUBJ_LINK_ASK };

static const struct svc_pool pools[] = {
	{ "outside", offsetof(struct app, common.bus_workers), offsetof(struct app, common.bus_queue_max) },
	{ "files",   offsetof(struct app, common.bus_workers), offsetof(struct app, common.bus_queue_max) },
	{ "link",    AT(link_workers), offsetof(struct app, common.bus_queue_max) },
	{ "holder",  AT(link_workers), offsetof(struct app, common.bus_queue_max) },
};

static const struct svc_health health[] = {
	{ "postgres", app_check_postgres },
	{ "engine",   app_check_engine },
};
/* clang-format on */

static const struct svc_def def = {
	.name = "instance-manager",
	.summary = "people's assistants and their containers",
	.common_offset = offsetof(struct app, common),
	SVC_TABLE(conf, conf),
	SVC_TABLE(route, routes),
	SVC_TABLE(pool, pools),
	SVC_TABLE(direct, direct),
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
