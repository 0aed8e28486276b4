/* The gateway's HTTP side: probes, the admin calls, and a page for everything else. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "http.h"
#include "json.h"
#include "stub.h"
#include "ws.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum {
	CONNS_MAX = 64,
	IDLE_S = 30,
	STACK_SIZE = 512 * 1024, /* bytes; address space, not memory */
};

struct conn {
	struct stub *stub;
	int fd;
	struct http_request req;
};

int gateway_listen(const struct conf *c)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)c->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	a.sin_addr.s_addr = htonl(c->loopback ? INADDR_LOOPBACK : INADDR_ANY);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0) {
		stub_log("[gateway] cannot listen on port %d: %m", c->port);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Compares without telling by its time how much was right. */
static bool same_secret(const char *a, const char *b)
{
	size_t len = strlen(a);
	unsigned char diff = len != strlen(b);

	for (size_t i = 0; i < len && !diff; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return !diff && len > 0;
}

static bool authorized(struct conn *c)
{
	char value[CONF_TOKEN_MAX + 16], token[CONF_TOKEN_MAX];

	pthread_mutex_lock(&c->stub->lock);
	memcpy(token, c->stub->conf.gateway_token, sizeof(token));
	pthread_mutex_unlock(&c->stub->lock);
	return http_header(c->req.head, "Authorization", value, sizeof(value)) &&
	       strncasecmp(value, "Bearer ", 7) == 0 && same_secret(token, value + 7);
}

/* What hangs keeps its connection until the client gives up or the stub stops. */
static void hang(struct conn *c)
{
	struct pollfd p[2] = { { .fd = c->fd, .events = POLLRDHUP },
		               { .fd = c->stub->stop_fd, .events = POLLIN } };

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
}

static int on_live(struct conn *c, struct text *out)
{
	enum probe_mode mode;

	pthread_mutex_lock(&c->stub->lock);
	mode = c->stub->steer.healthz;
	pthread_mutex_unlock(&c->stub->lock);
	if (mode == PROBE_HANG) {
		hang(c);
		return -1;
	}
	if (mode == PROBE_500) {
		text_printf(out, "{\"ok\":false}");
		return 500;
	}
	text_printf(out, "{\"ok\":true,\"status\":\"live\"}");
	return 200;
}

/* As with the real one (measured without any network): that Telegram cannot be reached keeps nothing
 * from being ready. */
static bool is_out_of_reach(const struct channel *ch)
{
	return ch->life == LIFE_RECOVERING && ch->probe_status == 0;
}

static int on_ready(struct conn *c, struct text *out)
{
	bool detail = authorized(c);
	bool started, channels;
	int64_t uptime_ms = now_ms() - c->stub->started_ms;

	pthread_mutex_lock(&c->stub->lock);
	started = uptime_ms >= c->stub->steer.ready_ms;
	channels = !c->stub->conf.telegram || c->stub->channel.connected ||
	           is_out_of_reach(&c->stub->channel);
	pthread_mutex_unlock(&c->stub->lock);
	text_printf(out, "{\"ready\":%s", started && channels ? "true" : "false");
	if (detail)
		text_printf(out, ",\"failing\":[%s%s%s],\"uptimeMs\":%lld",
		            started ? "" : "\"startup\"", started || channels ? "" : ",",
		            channels ? "" : "\"telegram\"", (long long)uptime_ms);
	text_printf(out, "}");
	return started && channels ? 200 : 503;
}

static int on_rpc(struct conn *c, struct text *out)
{
	if (!authorized(c)) {
		text_printf(out, "{\"error\":{\"message\":\"Unauthorized\","
		                 "\"type\":\"unauthorized\"}}");
		return 401;
	}
	return rpc_answer(c->stub, c->req.body, c->req.body_len, out);
}

static const struct {
	const char *path;
	int (*answer)(struct conn *c, struct text *out); /* the status, -1 to close unanswered */
} endpoints[] = {
	{ "/health", on_live },  { "/healthz", on_live },         { "/ready", on_ready },
	{ "/readyz", on_ready }, { "/api/v1/admin/rpc", on_rpc },
};

/* False when the connection is to be closed. */
static bool answer(struct conn *c)
{
	struct text out = { 0 };
	const char *type = "application/json";
	int status = 0;
	char upgrade[16];
	bool rpc, sent;

	if (http_header(c->req.head, "Upgrade", upgrade, sizeof(upgrade)) &&
	    strcasecmp(upgrade, "websocket") == 0) {
		ws_serve(c->stub, c->fd, c->req.head);
		return false;
	}
	pthread_mutex_lock(&c->stub->lock);
	rpc = c->stub->conf.rpc;
	pthread_mutex_unlock(&c->stub->lock);
	for (size_t i = 0; i < COUNT(endpoints) && !status; i++) {
		if (strcmp(endpoints[i].path, c->req.path) != 0)
			continue;
		if (endpoints[i].answer == on_rpc && !rpc) {
			text_printf(&out, "Not Found");
			type = "text/plain";
			status = 404;
		} else {
			status = endpoints[i].answer(c, &out);
		}
	}
	/* The real one serves its control page under every other path. */
	if (!status) {
		text_printf(&out, "<!doctype html>\n<html lang=\"en\"><head><title>OpenClaw Control"
		                  "</title></head><body><p>stub</p></body></html>\n");
		type = "text/html";
		status = 200;
	}
	sent = status > 0 && !out.failed && http_reply(c->fd, status, type, &out, c->req.keep);
	text_done(&out);
	return sent && c->req.keep;
}

static void *conn_main(void *arg)
{
	struct conn *c = arg;
	int got = 1;
	bool more = true;

	while (more && (got = http_read(c->fd, &c->req)) > 0) {
		more = answer(c);
		http_request_done(&c->req);
	}
	http_request_done(&c->req);
	if (got < 0) {
		struct text out = { 0 };

		text_printf(&out, "Bad Request");
		http_reply(c->fd, -got, "text/plain", &out, false);
		text_done(&out);
	}
	close(c->fd);
	pthread_mutex_lock(&c->stub->lock);
	c->stub->conns--;
	pthread_mutex_unlock(&c->stub->lock);
	free(c);
	return NULL;
}

static bool take_slot(struct stub *s)
{
	bool free_slot;

	pthread_mutex_lock(&s->lock);
	free_slot = s->conns < CONNS_MAX && !s->stopping;
	if (free_slot)
		s->conns++;
	pthread_mutex_unlock(&s->lock);
	return free_slot;
}

bool gateway_serve(struct stub *s, int fd)
{
	struct timeval idle = { .tv_sec = IDLE_S };
	struct conn *c = take_slot(s) ? calloc(1, sizeof(*c)) : NULL;
	pthread_attr_t attr;
	pthread_t thread;
	int error = -1;

	if (c) {
		*c = (struct conn){ .stub = s, .fd = fd };
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &idle, sizeof(idle));
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attr, STACK_SIZE);
		error = pthread_create(&thread, &attr, conn_main, c);
		pthread_attr_destroy(&attr);
	}
	if (error) {
		if (c) {
			pthread_mutex_lock(&s->lock);
			s->conns--;
			pthread_mutex_unlock(&s->lock);
		}
		free(c);
		close(fd);
	}
	return !error;
}
