/*
 * A stand-in for the OpenClaw gateway, for tests that need many containers fast: the real one takes
 * 10 s and 900 MB to be ready, this one some milliseconds. It reads the same config file, answers
 * the same probes and the same admin calls, and echoes Telegram messages. What it copies was seen
 * with OpenClaw 2026.9.6; ../samples holds the real answers.
 *
 * Threads: main (signals, config file, timers), one that polls Telegram, one per HTTP connection.
 * What they share is in struct stub, under its one lock.
 */
#ifndef STUB_STUB_H
#define STUB_STUB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CONF_TOKEN_MAX = 512,
	CONF_URL_MAX = 512,
	CONF_ALLOW_MAX = 64, /* entries of allowFrom */
	CONF_MODEL_MAX = 256,
	CONF_ALLOW_LEN_MAX = 64, /* bytes of one */
	EXIT_CONFIG = 78,        /* what OpenClaw exits with when it refuses its config */
};

enum dm_policy { DM_PAIRING, DM_ALLOWLIST, DM_OPEN, DM_DISABLED };

/* What matters here of openclaw.json. Plain data: copied, never shared. */
struct conf {
	int port;
	bool loopback; /* bind: only 127.0.0.1 */
	char gateway_token[CONF_TOKEN_MAX];
	bool rpc;      /* plugin admin-http-rpc */
	bool telegram; /* the channel is there and enabled */
	char bot_token[CONF_TOKEN_MAX];
	char api_root[CONF_URL_MAX];
	enum dm_policy dm_policy;
	size_t allow_count;
	char allow[CONF_ALLOW_MAX][CONF_ALLOW_LEN_MAX];
	/* Of the model, of agents.defaults.model.primary: dollars a million tokens, and whether its
	 * address is the one of a pause. */
	double price_in, price_out;
	bool model_away;
	char model[CONF_MODEL_MAX];
};

enum probe_mode { PROBE_OK, PROBE_HANG, PROBE_500 };
enum telegram_mode { TELEGRAM_OK, TELEGRAM_BLOCKED, TELEGRAM_CONFLICT, TELEGRAM_OFF };

/* How a test steers the stub, from stub.json in the state directory; README.md has the table. */
struct steer {
	int64_t live_ms;       /* until /healthz answers */
	int64_t ready_ms;      /* until /readyz says ready, if channels work */
	int64_t exit_after_ms; /* < 0: never */
	int exit_code;
	int64_t oom_after_ms;   /* < 0: never */
	int64_t stop_ms;        /* from SIGTERM to the end; < 0: ignores it */
	int64_t reply_delay_ms; /* from a message to its reply */
	enum probe_mode healthz;
	enum telegram_mode telegram;
	char dumb[48]; /* the method of the WebSocket that is never answered; "": none */
	bool once;     /* the file is removed when read, so the next start is normal */
};

enum lifecycle { LIFE_STARTING, LIFE_READY, LIFE_RECOVERING, LIFE_BLOCKED, LIFE_STOPPED };

/* The Telegram channel as channels.status tells it. Times are unix ms, 0 for never. */
struct channel {
	enum lifecycle life;
	bool running;
	bool connected;
	int64_t started_at, stopped_at, connected_at, inbound_at, outbound_at;
	int64_t bot_id;
	char username[64], name[128];
	int probe_status; /* of the last getMe: 200, 401 …; 0 when there was no answer */
	char error[640];
};

struct stub {
	pthread_mutex_t lock;
	/* Under the lock: */
	struct conf conf;
	struct steer steer;
	struct channel channel;
	unsigned int conns; /* open HTTP connections */
	bool stopping;
	/* Set before any thread starts: */
	const char *dir;    /* the state directory */
	int64_t started_ms; /* monotonic */
	int wake_fd;        /* eventfd: readable while the Telegram thread has news to take in */
	int ws_fd;          /* eventfd: readable while there are events for WebSockets */
	int stop_fd;        /* eventfd: readable for good once stopping */
};

int64_t now_ms(void); /* monotonic */
int64_t unix_ms(void);
void stub_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool stub_stopping(struct stub *s);
void stub_news(struct stub *s); /* makes the Telegram thread start over with what is set now */
void stub_snapshot(struct stub *s, struct conf *ret_conf, struct steer *ret_steer);

/* config.c. Both leave *ret alone and say why on stderr where the file is refused. */
bool conf_load(const char *dir, struct conf *ret);
bool conf_parse(const char *text, size_t len, struct conf *ret);
const char *conf_refusal(void);                      /* "channels.telegram.dmPolicy is unknown" */
bool steer_load(const char *dir, struct steer *ret); /* true also where there is no file */
bool conf_allows(const struct conf *c, int64_t user_id);

/* lease.c: whether the state is ours, which a host of another name has that was killed a while ago at
 * most. Given back at a clean end. */
bool lease_take(const char *dir);
void lease_give_back(const char *dir);

/* telegram.c */
void *telegram_main(void *stub); /* thread; ends when stopping */

/* gateway.c */
int gateway_listen(const struct conf *c);     /* descriptor, or -1 with the reason logged */
bool gateway_serve(struct stub *s, int conn); /* takes conn over; false when too many are open */

/* rpc.c: the body of an answer to POST /api/v1/admin/rpc; returns the HTTP status */
struct text;
int rpc_answer(struct stub *s, const char *body, size_t len, struct text *out);

/* node.c: the image's `node -e`, as a container's check. The exit status. */
int node_check(int argc, char **argv);

#endif
