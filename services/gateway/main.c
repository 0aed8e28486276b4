/* The only part that frontends reach: REST and WebSockets in, calls and events on the bus. Keeps no
 * state but its sockets. */

#include "app.h"

#define AT(field)  offsetof(struct app, field)
#define PUBLIC_URL "http://localhost:8080"

/* clang-format off */
static const struct conf_key conf[] = {
	/* environment           type      where                    default      min max      secret */
	{ "BIND_ADDRESS",        CONF_STR, AT(bind_address),        "127.0.0.1", 7,  15,      false,
	  "IPv4 address to listen on" },
	{ "PORT",                CONF_INT, AT(port),                "3000",      1,  65535,   false,
	  "Port of the REST API" },
	{ "WS_PORT",             CONF_INT, AT(ws_port),             "3001",      1,  65535,   false,
	  "Port of the WebSocket" },
	{ "METRICS_PORT",        CONF_INT, AT(metrics_port),        "9100",      0,  65535,   false,
	  "Port of /metrics, the whole suite's figures for Prometheus; 0: not served" },
	{ "METRICS_BIND",        CONF_STR, AT(metrics_bind),        "127.0.0.1", 7,  15,      false,
	  "IPv4 address that /metrics is served on: one that people do not reach" },
	{ "REDIS_URL",           CONF_STR, AT(redis_url),           NULL,        8,  4096,    true,
	  "Redis server: redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DB]" },
	{ "JWT_SECRET",          CONF_STR, AT(jwt_secret),          NULL,        32, 4096,    true,
	  "Signs access tokens; the same for auth" },
	{ "JWT_SECRET_PREVIOUS", CONF_STR, AT(jwt_secret_previous), "",          0,  4096,    true,
	  "The one before, still accepted" },
	{ "PUBLIC_URL",          CONF_STR, AT(public_url),          PUBLIC_URL,  8,  2048,    false,
	  "Where people reach the platform; https makes answers say so (HSTS)" },
	{ "CORS_ORIGINS",        CONF_STR, AT(cors_origins),        "",          0,  4096,    false,
	  "Further origins whose pages may use the API: https://a.example,https://b.example" },
	{ "TRUSTED_PROXIES",     CONF_STR, AT(trusted_proxies),     "127.0.0.1", 0,  4096,    false,
	  "Addresses or networks whose X-Forwarded-For counts: 127.0.0.1,10.0.0.0/8" },
	{ "RATE_API_PER_MIN",    CONF_INT, AT(rate_api_per_min),    "0",         0,  1000000, false,
	  "Requests a minute a user may send; 0: as their tier says (free: 100)" },
	{ "RATE_AUTH_PER_MIN",   CONF_INT, AT(rate_auth_per_min),   "5",         1,  1000000, false,
	  "Sign-ups and sign-ins a minute an address may try" },
	{ "WS_PER_USER",         CONF_INT, AT(ws_per_user),         "0",         0,  1000000, false,
	  "WebSockets a user may have, over all gateways; 0: as their tier says (free: 10)" },
	{ "WS_PING_S",           CONF_SEC, AT(ws_ping_s),           "25",        1,  300,     false,
	  "Seconds between two pings; a WebSocket that says nothing for 3/2 of it is ended" },
	{ "HTTP_THREADS",        CONF_INT, AT(http_threads),        "64",        4,  4096,    false,
	  "HTTP connections served at once" },
};
/* clang-format on */

static const struct svc_def def = {
	.name = "gateway",
	.summary = "the public REST API and WebSocket",
	.common_offset = offsetof(struct app, common),
	SVC_TABLE(conf, conf),
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
