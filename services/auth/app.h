#ifndef AUTH_APP_H
#define AUTH_APP_H

#include "net/token.h"
#include "store/once.h"
#include "store/pg.h"
#include "store/redis.h"
#include "svc/svc.h"

#include "svc/ticker.h"

/* All that the handlers share. Made by app_start(), read-only after it. */
struct app {
	struct svc_common common;
	const char *database_url;
	const char *redis_url;
	const char *jwt_secret;
	const char *jwt_secret_previous;
	long long hash_workers;
	long long hash_queue_max;
	const char *public_url;
	const char *smtp_url; /* "": mails are files in mail_dir */
	const char *smtp_tls; /* "require" or "off" */
	const char *mail_from;
	const char *mail_dir;
	long long mail_retry_s;
	long long reauth_s;
	long long deletion_grace_s;
	const char *identity_key;
	const char *identity_key_previous; /* "": none */

	struct seal seal, seal_previous; /* of identity_key: what lies in the database sealed */
	struct bus *bus;
	struct pg_pool *db;
	struct redis *redis;
	struct token_keys *keys;
	struct ticker *keeper;     /* tells Redis and the bus of ended sessions */
	struct ticker *deletion;   /* works off deletions of accounts */
	struct ticker *sweep;      /* removes what is too old */
	struct ticker *courier;    /* sends mails */
	volatile bool is_stopping; /* atomic: written once; ends what the courier waits for */
};

/* Hashing has a pool of its own, so that a flood of sign-ins takes nothing from other calls. */
enum app_pool { POOL_MAIN, POOL_HASH };

int app_check(void *app, struct err *e);
int app_start(void *app, struct bus *b, struct err *e);
void app_quiesce(void *app);
void app_stop(void *app);
bool app_is_stopping(const struct app *app);
int app_check_postgres(void *app, struct err *e);
int app_check_redis(void *app, struct err *e);
extern const struct bus_once app_once;

bus_handler on_register, on_login;                                 /* sign_in.c; POOL_HASH */
bus_handler on_refresh, on_logout, on_ws_ticket, on_session_check; /* on_session.c */
bus_handler on_user_get, on_user_update, on_user_delete, on_user_restore,
	on_user_tier;                                                    /* on_user.c */
bus_handler on_verify_email, on_resend_verification, on_forgot_password; /* on_email.c */
bus_handler on_change_email, on_confirm_email;
bus_handler on_reset_password, on_change_password, on_reauthenticate; /* on_password.c; POOL_HASH */
bus_handler on_auth_session_list, on_session_end, on_session_end_others; /* on_sessions.c */
bus_handler on_factor_get, on_factor_enroll, on_factor_confirm;          /* on_factor.c */
bus_handler on_factor_recovery, on_factor_disable;
bus_handler on_user_export, on_mail_list;                                        /* on_export.c */
bus_handler on_audit_list;                                                       /* on_audit.c */
bus_handler on_api_key_list, on_api_key_create, on_api_key_revoke, on_key_check; /* on_api_key.c */

#endif
