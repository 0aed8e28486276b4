/* Users, their credentials and sessions. Owns users, sessions, refresh_tokens, audit_log and what
 * is in sql/. */

#include "app.h"
#include "mail/courier.h"

/* clang-format off */
static const struct conf_key conf[] = {
	/* environment           type      where                                      default  min  max    secret */
	{ "DATABASE_URL",        CONF_STR, offsetof(struct app, database_url),        NULL,    8,   4096,  true,
	  "PostgreSQL, as the role zaki_auth: postgresql://USER:PASSWORD@HOST:PORT/DATABASE" },
	{ "REDIS_URL",           CONF_STR, offsetof(struct app, redis_url),           NULL,    8,   4096,  true,
	  "Redis: redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DB]" },
	{ "JWT_SECRET",          CONF_STR, offsetof(struct app, jwt_secret),          NULL,    32,  4096,  true,
	  "Signs access tokens; the same for the gateway" },
	{ "JWT_SECRET_PREVIOUS", CONF_STR, offsetof(struct app, jwt_secret_previous), "",      0,   4096,  true,
	  "The secret before this one, still accepted" },
	{ "HASH_WORKERS",        CONF_INT, offsetof(struct app, hash_workers),        "0",     0,   64,    false,
	  "Passwords hashed at once, 64 MiB each; 0: one a core" },
	{ "HASH_QUEUE_MAX",      CONF_INT, offsetof(struct app, hash_queue_max),      "64",    1,   4096,  false,
	  "Sign-ins that wait for their hash; more are answered 503" },
	{ "PUBLIC_URL",          CONF_STR, offsetof(struct app, public_url), "http://localhost:8080", 8, 255, false,
	  "Where people reach the platform; links in mails begin with it" },
	{ "SMTP_URL",            CONF_STR, offsetof(struct app, smtp_url),            "",    0,   4096,  true,
	  "Mail server: smtp[s]://[USER:PASSWORD@]HOST[:PORT]; without it mails are files in MAIL_DIR" },
	{ "SMTP_TLS",            CONF_STR, offsetof(struct app, smtp_tls),            "require", 3, 7,   false,
	  "require: smtp:// must offer STARTTLS; off: mails go in the clear, to a relay on this machine" },
	{ "MAIL_FROM",           CONF_STR, offsetof(struct app, mail_from), "noreply@zaki.invalid", 3, 254, false,
	  "Address that mails come from" },
	{ "MAIL_DIR",            CONF_STR, offsetof(struct app, mail_dir),            "",    0,   4096,  false,
	  "Folder for mails where there is no SMTP_URL" },
	{ "MAIL_RETRY_S",        CONF_SEC, offsetof(struct app, mail_retry_s),        "10",  1,   3600,  false,
	  "Pause after a mail's first failed try; it doubles from try to try" },
	{ "ACCOUNT_DELETION_GRACE_S", CONF_SEC, offsetof(struct app, deletion_grace_s), "604800", 0, 31536000, false,
	  "How long an account that is to be deleted can be restored; 0: not at all" },
	{ "IDENTITY_KEY",        CONF_STR, offsetof(struct app, identity_key),        NULL,    32,  4096,  true,
	  "Encrypts the secrets of second factors; without it they are lost" },
	{ "IDENTITY_KEY_PREVIOUS", CONF_STR, offsetof(struct app, identity_key_previous), "",  0,   4096,  true,
	  "The key before this one, which still opens what it sealed" },
	{ "REAUTH_S",            CONF_SEC, offsetof(struct app, reauth_s),            "300", 30,  86400, false,
	  "How long a sign-in or re-authentication is good for what is sensitive" },
};

static const struct bus_route routes[] = {
	{ SUBJ_AUTH_REGISTER,  on_register,      POOL_HASH },
	{ SUBJ_AUTH_LOGIN,     on_login,         POOL_HASH },
	{ SUBJ_AUTH_REFRESH,   on_refresh,       POOL_MAIN },
	{ SUBJ_AUTH_LOGOUT,    on_logout,        POOL_MAIN },
	{ SUBJ_AUTH_WS_TICKET, on_ws_ticket,     POOL_MAIN },
	{ SUBJ_AUTH_VERIFY_EMAIL,        on_verify_email,        POOL_MAIN },
	{ SUBJ_AUTH_RESEND_VERIFICATION, on_resend_verification, POOL_MAIN },
	{ SUBJ_AUTH_FORGOT_PASSWORD,     on_forgot_password,     POOL_MAIN },
	{ SUBJ_AUTH_RESET_PASSWORD,      on_reset_password,      POOL_HASH },
	{ SUBJ_AUTH_CHANGE_PASSWORD,     on_change_password,     POOL_HASH },
	{ SUBJ_AUTH_CHANGE_EMAIL,        on_change_email,        POOL_MAIN },
	{ SUBJ_AUTH_CONFIRM_EMAIL,       on_confirm_email,       POOL_MAIN },
	{ SUBJ_AUTH_REAUTHENTICATE,      on_reauthenticate,      POOL_HASH },
	{ SUBJ_AUTH_SESSION_LIST,        on_auth_session_list,        POOL_MAIN },
	{ SUBJ_AUTH_SESSION_END,         on_session_end,         POOL_MAIN },
	{ SUBJ_AUTH_SESSION_END_OTHERS,  on_session_end_others,  POOL_MAIN },
	{ SUBJ_AUTH_FACTOR_GET,          on_factor_get,          POOL_MAIN },
	{ SUBJ_AUTH_FACTOR_ENROLL,       on_factor_enroll,       POOL_MAIN },
	{ SUBJ_AUTH_FACTOR_CONFIRM,      on_factor_confirm,      POOL_MAIN },
	{ SUBJ_AUTH_FACTOR_RECOVERY,     on_factor_recovery,     POOL_MAIN },
	{ SUBJ_AUTH_FACTOR_DISABLE,      on_factor_disable,      POOL_MAIN },
	{ SUBJ_AUDIT_LIST,               on_audit_list,          POOL_MAIN },
	{ SUBJ_MAIL_LIST,      on_mail_list,     POOL_MAIN },
	{ SUBJ_USER_EXPORT,    on_user_export,   POOL_MAIN },
	{ SUBJ_USER_GET,       on_user_get,      POOL_MAIN },
	{ SUBJ_USER_UPDATE,    on_user_update,   POOL_MAIN },
	{ SUBJ_USER_DELETE,    on_user_delete,   POOL_MAIN },
	{ SUBJ_API_KEY_LIST,   on_api_key_list,   POOL_MAIN },
	{ SUBJ_API_KEY_CREATE, on_api_key_create, POOL_MAIN },
	{ SUBJ_API_KEY_REVOKE, on_api_key_revoke, POOL_MAIN },
	{ SUBJ_KEY_CHECK,      on_key_check,      POOL_MAIN },
	{ SUBJ_USER_RESTORE,   on_user_restore,  POOL_MAIN },
	{ SUBJ_SESSION_CHECK,  on_session_check, POOL_MAIN },
	{ SUBJ_USER_TIER,      on_user_tier,     POOL_MAIN },
	{ SUBJ_AUTH_HEALTH,    svc_on_health,    POOL_MAIN },
};

static const struct svc_pool pools[] = {
	{ "hash", offsetof(struct app, hash_workers), offsetof(struct app, hash_queue_max) },
};

static const struct svc_health health[] = {
	{ "postgres", app_check_postgres },
	{ "redis",    app_check_redis },
	{ "mail",     courier_check },
};
/* clang-format on */

static const struct svc_def def = {
	.name = "auth",
	.summary = "users, sign-in, sessions and tokens",
	.common_offset = offsetof(struct app, common),
	SVC_TABLE(conf, conf),
	SVC_TABLE(route, routes),
	SVC_TABLE(pool, pools),
	SVC_TABLE(health, health),
	.once = &app_once,
	.check = app_check,
	.start = app_start,
	.quiesce = app_quiesce,
	.stop = app_stop,
};

int main(int argc, char **argv)
{
	static struct app app;

	return svc_main(&def, &app, argc, argv);
}
