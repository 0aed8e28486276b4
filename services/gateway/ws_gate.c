#include "ws_gate.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "bus/envelope.h"
#include "client_address.h"
#include "head.h"
#include "ws_auth.h"
#include "ws_slot.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define EVENTS_MAX 64
#define WAIT_MS    250
#define BACKLOG    4096

/* A connection whose request has not come whole; the gate's thread. Then a job. */
struct pending {
	struct app_job job; /* first */
	struct ws *ws;
	struct pending *prev, *next; /* oldest first */
	int fd;
	long long until_ms; /* monotonic */
	char peer[ADDRESS_TEXT_SIZE];
	size_t len;
	char buf[WS_REQUEST_MAX + 1];
};

struct ws_gate {
	struct ws *ws;
	pthread_t thread;
	int listen_fd, epoll_fd, wake_fd;
	size_t count;
	struct pending *oldest, *newest;
	bool is_paused; /* nobody is accepted now */
};

static void pending_free(struct pending *p)
{
	if (p->fd >= 0)
		close(p->fd);
	explicit_bzero(p->buf, p->len);
	free(p);
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* The answer is small and the socket's buffer empty: it goes whole, or the client is gone. */
static void refuse(struct pending *p, const char *trace_id, const struct err *e)
{
	OWN(json_text) char *body = envelope_error(e);
	int status = err_http(e->code), retry_s = e->retry_after_s;
	char retry[48] = "", head[1024];
	int n;

	if (retry_s == 0 && err_is_retryable(e->code))
		retry_s = 1;
	if (retry_s > 0)
		snprintf(retry, sizeof(retry), "Retry-After: %d\r\n", retry_s);
	n = snprintf(head, sizeof(head),
	             "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
	             "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	             "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
	             "Referrer-Policy: no-referrer\r\nSec-WebSocket-Version: 13\r\n%s%s%s"
	             "X-Request-Id: %s\r\nConnection: close\r\n\r\n",
	             status, err_name(e->code), body ? strlen(body) : 0, retry,
	             status == 401 ? "WWW-Authenticate: Bearer realm=\"zaki\"\r\n" : "",
	             status == 405 ? "Allow: GET\r\n" : "", trace_id);
	if (send(p->fd, head, (size_t)n, MSG_NOSIGNAL | MSG_MORE) == n && body)
		(void)send(p->fd, body, strlen(body), MSG_NOSIGNAL);
	(void)shutdown(p->fd, SHUT_WR);
	/* What lies unread when it is closed would reset it, and the answer with it. */
	while (recv(p->fd, p->buf, WS_REQUEST_MAX, MSG_DONTWAIT) > 0)
		continue;
	if (status >= 500) {
		log_trace_set(trace_id);
		log_warn("a socket was refused", "code", err_name(e->code), "error", e->msg);
		log_trace_set(NULL);
	}
}

/* ---- on a worker ------------------------------------------------------------------------------- */

static void describe(struct pending *p, const struct ws_request *r, struct ws_person *person)
{
	struct bus_ctx ctx = { .trace_id = "" };

	head_trace(r->traceparent, ctx.trace_id);
	bus_trace_begin(&ctx);
	memcpy(person->trace_id, ctx.trace_id, sizeof(person->trace_id));
	client_address(ws_app(p->ws)->proxies, p->peer, r->forwarded_for, person->client_address);
}

static int admit(struct pending *p, struct ws_person *person, struct err *e)
{
	struct ws_request r = { 0 };
	int result = ws_request_parse(p->buf, p->len, &r, e);

	describe(p, &r, person);
	person->ends = ws_ends(p->ws);
	if (result < 0 || ws_auth_request(ws_app(p->ws), &r, person, e) < 0 ||
	    ws_slot_take(ws_slots_of(p->ws), person, e) < 0)
		return -1;
	fault_delay("ws.adopt");
	ws_adopt(p->ws, p->fd, person, r.key);
	p->fd = -1;
	return 0;
}

static void work(struct app_job *job)
{
	struct pending *p = (struct pending *)job;
	struct ws_person person = { .expires_s = 0 };
	struct err e = ERR_INIT;

	if (admit(p, &person, &e) < 0)
		refuse(p, person.trace_id, &e);
	pending_free(p);
}

/* ---- the gate's thread ------------------------------------------------------------------------- */

static void unlink_pending(struct ws_gate *g, struct pending *p)
{
	*(p->prev ? &p->prev->next : &g->oldest) = p->next;
	*(p->next ? &p->next->prev : &g->newest) = p->prev;
	g->count--;
	(void)epoll_ctl(g->epoll_fd, EPOLL_CTL_DEL, p->fd, NULL);
}

static void refuse_here(struct pending *p, const struct err *e)
{
	struct bus_ctx ctx = { .trace_id = "" };

	bus_trace_begin(&ctx);
	refuse(p, ctx.trace_id, e);
	pending_free(p);
}

/* It is not the gate's any more. */
static void hand_over(struct ws_gate *g, struct pending *p)
{
	struct err e = ERR_INIT;

	unlink_pending(g, p);
	if (ws_work(g->ws, &p->job))
		return;
	err_busy(&e, ERR_UNAVAILABLE, 1, "too much to do");
	refuse_here(p, &e);
}

static void on_readable(struct ws_gate *g, struct pending *p)
{
	ssize_t n = recv(p->fd, p->buf + p->len, WS_REQUEST_MAX - p->len, 0);
	struct err e = ERR_INIT;
	size_t end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		unlink_pending(g, p);
		assert(g->oldest != p);
		pending_free(p);
		return;
	}
	p->len += (size_t)n;
	p->buf[p->len] = '\0';
	end = ws_request_end(p->buf, p->len);
	if (end == p->len) {
		hand_over(g, p);
		return;
	}
	if (end > 0)
		err_field(&e, "", "nothing may follow the request before its answer");
	else if (p->len == WS_REQUEST_MAX)
		err_set(&e, ERR_HEADERS, "the header is longer than %d bytes", WS_REQUEST_MAX);
	else
		return;
	unlink_pending(g, p);
	refuse_here(p, &e);
}

static void add(struct ws_gate *g, int fd, const struct sockaddr_in *from)
{
	struct pending *p = malloc(sizeof(*p));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = p };
	const int on = 1;

	if (!p) {
		close(fd);
		return;
	}
	/* Its buffer is not cleared: memory that nobody writes to costs nothing. */
	p->job.run = work;
	p->ws = g->ws;
	p->fd = fd;
	p->until_ms = clock_mono_ms() + WS_GATE_MS;
	p->len = 0;
	(void)inet_ntop(AF_INET, &from->sin_addr, p->peer, sizeof(p->peer));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		pending_free(p);
		return;
	}
	p->next = NULL;
	p->prev = g->newest;
	*(p->prev ? &p->prev->next : &g->oldest) = p;
	g->newest = p;
	g->count++;
}

static void pause_listening(struct ws_gate *g, bool is_paused)
{
	struct epoll_event event = { .events = is_paused ? 0 : EPOLLIN, .data.ptr = g };

	if (g->is_paused != is_paused)
		(void)epoll_ctl(g->epoll_fd, EPOLL_CTL_MOD, g->listen_fd, &event);
	g->is_paused = is_paused;
}

static void on_connection(struct ws_gate *g)
{
	for (int i = 0; i < EVENTS_MAX; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		int fd = accept4(g->listen_fd, (struct sockaddr *)&from, &len,
		                 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			add(g, fd, &from);
		/* Out of files: trying at once again would only burn the processor. */
		if ((fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) ||
		    g->count == WS_GATE_PENDING_MAX)
			pause_listening(g, true);
		if (fd < 0 || g->is_paused)
			return;
	}
}

static void drop_slow(struct ws_gate *g)
{
	long long now_ms = clock_mono_ms();
	struct err e = ERR_INIT;

	err_field(&e, "", "the request came too slowly");
	while (g->oldest && now_ms > g->oldest->until_ms) {
		struct pending *p = g->oldest;

		unlink_pending(g, p);
		assert(g->oldest != p);
		refuse_here(p, &e);
	}
}

static void *run(void *closure)
{
	struct ws_gate *g = closure;
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int n = epoll_wait(g->epoll_fd, events, EVENTS_MAX, WAIT_MS);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				return NULL;
			if (events[i].data.ptr == g)
				on_connection(g);
			else
				on_readable(g, events[i].data.ptr);
		}
		drop_slow(g);
		if (g->is_paused && g->count < WS_GATE_PENDING_MAX)
			pause_listening(g, false);
	}
}

static int listen_on(struct ws_gate *g, struct err *e)
{
	const struct app *app = ws_app(g->ws);
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)app->ws_port) };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = g };
	struct epoll_event wake = { .events = EPOLLIN, .data.ptr = NULL };
	const int on = 1;

	(void)inet_pton(AF_INET, app->bind_address,
	                &to.sin_addr); /* app_check() has looked at it */
	g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	g->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (g->listen_fd < 0 || g->epoll_fd < 0 || g->wake_fd < 0 ||
	    setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(g->listen_fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
	    listen(g->listen_fd, BACKLOG) != 0 ||
	    epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, g->listen_fd, &event) != 0 ||
	    epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, g->wake_fd, &wake) != 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot listen on %s:%lld (WS_PORT): %s",
		               app->bind_address, app->ws_port, strerrordesc_np(errno));
	return 0;
}

int ws_gate_start(struct ws *w, struct ws_gate **ret, struct err *e)
{
	struct ws_gate *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(e, ERR_INTERNAL, "out of memory");
	g->ws = w;
	g->listen_fd = g->epoll_fd = g->wake_fd = -1;
	*ret = g;
	if (listen_on(g, e) < 0)
		return -1;
	if (pthread_create(&g->thread, NULL, run, g) != 0) {
		g->thread = 0;
		return err_set(e, ERR_INTERNAL, "cannot start a thread");
	}
	return 0;
}

void ws_gate_stop(struct ws_gate *g)
{
	const int fds[] = { g ? g->listen_fd : -1, g ? g->epoll_fd : -1, g ? g->wake_fd : -1 };

	if (!g)
		return;
	if (g->thread && eventfd_write(g->wake_fd, 1) == 0)
		pthread_join(g->thread, NULL);
	while (g->oldest) {
		struct pending *p = g->oldest;

		unlink_pending(g, p);
		assert(g->oldest != p);
		pending_free(p);
	}
	for (size_t i = 0; i < COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(g);
}
