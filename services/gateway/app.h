#ifndef GATEWAY_APP_H
#define GATEWAY_APP_H

#include "net/token.h"
#include "store/redis.h"
#include "svc/svc.h"

struct health;
struct http;
struct key_cache;
struct limit;
struct metrics_server;
struct origin_list;
struct proxy_list;
struct tier_cache;
struct token_cache;
struct ws;

/* All that requests and sockets share. Made by app_start(), read-only after it but for its counters. */
struct app {
	struct svc_common common;
	const char *bind_address, *metrics_bind;
	long long port, ws_port, metrics_port;
	const char *redis_url;
	const char *jwt_secret, *jwt_secret_previous;
	const char *public_url, *cors_origins, *trusted_proxies;
	long long rate_api_per_min, rate_auth_per_min;
	long long ws_per_user, ws_ping_s; /* rate_api_per_min, ws_per_user: 0: as the tier says */
	long long http_threads;

	struct bus *bus;
	struct redis *redis;
	struct token_keys *keys;
	struct token_cache *tokens;
	struct key_cache *key_cache;
	struct origin_list *origins;
	struct proxy_list *proxies;
	struct limit *limit;
	struct tier_cache *tiers;
	struct pool
		*workers; /* for what waits on behalf of health and of sockets: struct app_job */
	_Atomic long long sign_ins; /* under way: see call.c */
	_Atomic long long exports;  /* under way: see export/export.h */
	struct health *health;
	struct http *http;
	struct ws *ws;
	struct metrics_server *metrics; /* NULL: not served */
};

/* What app->workers do: run() owns the job. */
struct app_job {
	void (*run)(struct app_job *job);
};

int app_check(void *app, struct err *e);
int app_start(void *app, struct bus *b, struct err *e);
void app_quiesce(void *app);
void app_stop(void *app);

#endif
