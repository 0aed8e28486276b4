#ifndef AUTH_APP_H
#define AUTH_APP_H

#include "net/token.h"
#include "store/pg.h"
#include "store/redis.h"
#include "svc/svc.h"

#include "ticker.h"

/* All that the handlers share. Made by app_start(), read-only after it. */
struct app {
	struct svc_common common;
	const char *database_url;
	const char *redis_url;
	const char *jwt_secret;
	const char *jwt_secret_previous;
	long long hash_workers;
	long long hash_queue_max;

	struct bus *bus;
	struct pg_pool *db;
	struct redis *redis;
	struct token_keys *keys;
	struct ticker *keeper;   /* tells Redis and the bus of ended sessions */
	struct ticker *deletion; /* works off deletions of accounts */
	struct ticker *sweep;    /* removes what is too old */
};

/* Hashing has a pool of its own, so that a flood of sign-ins takes nothing from other calls. */
enum app_pool { POOL_MAIN, POOL_HASH };

int app_check(void *app, struct err *e);
int app_start(void *app, struct bus *b, struct err *e);
void app_stop(void *app);
int app_check_postgres(void *app, struct err *e);
int app_check_redis(void *app, struct err *e);
extern const struct bus_once app_once;

bus_handler on_register, on_login;                                     /* sign_in.c; POOL_HASH */
bus_handler on_refresh, on_logout, on_ws_ticket, on_session_check;     /* on_session.c */
bus_handler on_user_get, on_user_update, on_user_delete, on_user_tier; /* on_user.c */
bus_handler on_api_key_list, on_api_key_create, on_api_key_revoke, on_key_check; /* on_api_key.c */

#endif
