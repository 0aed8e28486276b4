#include "app.h"

#include "client_address.h"
#include "health.h"
#include "http.h"
#include "key_cache.h"
#include "limit.h"
#include "metrics/metrics.h"
#include "origin.h"
#include "tier_cache.h"
#include "tier_check.h"
#include "token_cache.h"
#include "ws.h"

#include <arpa/inet.h>

#define WORKERS   8
#define QUEUE_MAX 16384 /* a reconnect of all sockets at once fits */

static void work(void *item)
{
	struct app_job *job = item;

	job->run(job);
}

int app_check(void *closure, struct err *e)
{
	struct app *app = closure;
	struct in_addr v4;

	/* Debian's civetweb is built without IPv6. */
	if (inet_pton(AF_INET, app->bind_address, &v4) != 1)
		return err_field(e, "BIND_ADDRESS", "must be an IPv4 address");
	if (inet_pton(AF_INET, app->metrics_bind, &v4) != 1)
		return err_field(e, "METRICS_BIND", "must be an IPv4 address");
	if (token_keys_new(app->jwt_secret, app->jwt_secret_previous, &app->keys, e) < 0 ||
	    token_cache_new(&app->tokens, e) < 0 || key_cache_new(&app->key_cache, e) < 0 ||
	    origin_list_new(app->public_url, app->cors_origins, &app->origins, e) < 0 ||
	    proxy_list_new(app->trusted_proxies, &app->proxies, e) < 0)
		return -1;
	return redis_open(app->redis_url, (size_t)app->http_threads + WORKERS, &app->redis, e);
}

int app_start(void *closure, struct bus *b, struct err *e)
{
	struct app *app = closure;

	app->bus = b;
	if (limit_new(app->redis, tier_requests_of_strangers(app), app->rate_auth_per_min,
	              &app->limit, e) < 0 ||
	    tier_cache_new(&app->tiers, e) < 0 || health_new(app, &app->health, e) < 0 ||
	    pool_new(WORKERS, QUEUE_MAX, work, &app->workers, e) < 0)
		return -1;
	if (http_start(app, &app->http, e) < 0 || ws_start(app, &app->ws, e) < 0)
		return -1;
	return metrics_start(app, &app->metrics, e);
}

void app_quiesce(void *closure)
{
	struct app *app = closure;

	if (app->http)
		http_quiesce(app->http);
	if (app->ws)
		ws_quiesce(app->ws);
	metrics_stop(app->metrics);
	app->metrics = NULL;
	pool_free(app->workers);
	app->workers = NULL;
}

void app_stop(void *closure)
{
	struct app *app = closure;

	ws_free(app->ws);
	http_stop(app->http);
	health_free(app->health);
	limit_free(app->limit);
	tier_cache_free(app->tiers);
	redis_close(app->redis);
	proxy_list_free(app->proxies);
	origin_list_free(app->origins);
	key_cache_free(app->key_cache);
	token_cache_free(app->tokens);
	token_keys_free(app->keys);
}
