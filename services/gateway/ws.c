#include "ws.h"

#include "base/clock.h"
#include "base/log.h"
#include "ws_beat.h"
#include "ws_call.h"
#include "ws_events.h"
#include "ws_gate.h"
#include "ws_request.h"
#include "ws_session.h"
#include "ws_slot.h"
#include "ws_topics.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define TICK_MS         1000
#define CLOSING_TICK_MS 50
#define STOOD_STILL_MS  3000 /* late */
#define CLOSING_MS      3000 /* for all sockets to be gone when this process ends */
#define EVENTS_MAX      256
#define READ_BYTES      16384
#define FILES_MAX       262144

struct ws {
	pthread_mutex_t lock; /* guards first and last */
	struct ws_task *first, *last;

	struct app *app;
	int wake_fd; /* says that there is a first */
	pthread_t thread;
	struct ws_gate *gate;
	struct ws_events *events;
	struct ws_slots *slots;
	struct ws_beat *beat;
	_Atomic unsigned long long ends; /* ws_ends() */

	/* The loop's thread alone. */
	struct ws_io io;
	struct ws_topics *topics;
	struct ws_client *clients;
	struct ws_client *gone; /* their memory goes at the end of the round */
	bool is_closing;
	long long tick_ms;  /* monotonic; when the next is due; 0: at once */
	long long close_ms; /* monotonic; when it ends whoever is left */
};

struct app *ws_app(struct ws *w)
{
	return w->app;
}

struct ws_topics *ws_topics_of(struct ws *w)
{
	return w->topics;
}

struct ws_slots *ws_slots_of(struct ws *w)
{
	return w->slots;
}

bool ws_work(struct ws *w, struct app_job *job)
{
	return w->app->workers && pool_add(w->app->workers, job);
}

void ws_post(struct ws *w, struct ws_task *t)
{
	bool is_first;

	t->next = NULL;
	pthread_mutex_lock(&w->lock);
	is_first = !w->first;
	if (w->last)
		w->last->next = t;
	else
		w->first = t;
	w->last = t;
	pthread_mutex_unlock(&w->lock);
	/* One that waits already will be seen. */
	if (is_first)
		(void)eventfd_write(w->wake_fd, 1);
}

static void run_inbox(struct ws *w)
{
	struct ws_task *t, *next;

	pthread_mutex_lock(&w->lock);
	t = w->first;
	w->first = w->last = NULL;
	pthread_mutex_unlock(&w->lock);
	for (; t; t = next) {
		next = t->next;
		t->run(w, t);
	}
}

/* ---- sockets ----------------------------------------------------------------------------------- */

static void client_add(struct ws *w, struct ws_client *c)
{
	c->next = w->clients;
	if (c->next)
		c->next->prev = c;
	w->clients = c;
}

/* It stays a while: events of this round may name it. */
static void client_remove(struct ws *w, struct ws_client *c)
{
	ws_client_cut(c);
	ws_topics_leave(w->topics, c);
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		w->clients = c->next;
	ws_session_leave(w, &c->person);
	c->next = w->gone;
	w->gone = c;
}

static void bury(struct ws *w)
{
	while (w->gone) {
		struct ws_client *c = w->gone;

		w->gone = c->next;
		ws_client_drop(c);
	}
}

/* Writes what it takes; who takes all gets more. */
static void flush(struct ws *w, struct ws_client *c)
{
	if (ws_client_flush(c) < 0)
		client_remove(w, c);
	else
		ws_topics_go_on(w->topics, c);
}

/* Also those that become so meanwhile. */
static void flush_dirty(struct ws *w)
{
	struct ws_client *c;

	while ((c = w->io.dirty)) {
		w->io.dirty = c->next_dirty;
		c->is_dirty = false;
		if (c->fd >= 0)
			flush(w, c);
		ws_client_drop(c);
	}
}

static void on_message(struct ws *w, struct ws_client *c, const char *text, size_t len)
{
	struct bus_ctx ctx = { .trace_id = "" };
	struct err e = ERR_INIT;
	struct ws_frame f;

	bus_trace_begin(&ctx);
	if (ws_frame_parse(text, len, &f, &e) < 0) {
		ws_client_send_error(c, f.topic, ctx.trace_id, &e);
		return;
	}
	switch (f.verb) {
	case WS_SUBSCRIBE:
		ws_topics_subscribe(w->topics, c, &f, ctx.trace_id);
		break;
	case WS_UNSUBSCRIBE:
	case WS_UNSUBSCRIBE_ALL:
		ws_topics_unsubscribe(w->topics, c, f.topic, ctx.trace_id);
		break;
	case WS_AUTHENTICATE:
		ws_session_renew(w, c, &f, ctx.trace_id);
		explicit_bzero(&f, sizeof(f));
		break;
	}
}

static void on_text(struct ws_io *io, struct ws_client *c, const char *text, size_t len)
{
	on_message((struct ws *)((char *)io - offsetof(struct ws, io)), c, text, len);
}

static void on_readable(struct ws *w, struct ws_client *c)
{
	char data[READ_BYTES];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		ws_client_receive(c, data, (size_t)n, clock_mono_ms());
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		client_remove(w, c);
}

static void on_socket(struct ws *w, struct ws_client *c, uint32_t events)
{
	/* An earlier one of the same round may have ended it. */
	if (c->fd >= 0 && events & EPOLLOUT)
		flush(w, c);
	if (c->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		on_readable(w, c);
}

unsigned long long ws_ends(struct ws *w)
{
	return atomic_load(&w->ends);
}

void ws_close_session(struct ws *w, const char *session_id, int code, const char *reason)
{
	atomic_fetch_add(&w->ends, 1);
	for (struct ws_client *c = w->clients; c; c = c->next)
		if (!session_id || strcmp(c->person.session_id, session_id) == 0)
			ws_client_close(c, code, reason);
}

void ws_check_all(struct ws *w)
{
	atomic_fetch_add(&w->ends, 1);
	for (struct ws_client *c = w->clients; c; c = c->next)
		c->check_ms = 0;
}

/* ---- a new one --------------------------------------------------------------------------------- */

struct adoption {
	struct ws_task task; /* first */
	int fd;
	struct ws_person person;
	char key[32];
};

/* RFC 6455, 4.2.2: no extension, no subprotocol. */
static struct ws_text *answer_of(const char *key)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char hash[EVP_MAX_MD_SIZE];
	char text[80], accept[64], answer[256];
	unsigned len = 0;

	snprintf(text, sizeof(text), "%s%s", key, guid);
	if (EVP_Digest(text, strlen(text), hash, &len, EVP_sha1(), NULL) != 1)
		return NULL;
	(void)sodium_bin2base64(accept, sizeof(accept), hash, len, sodium_base64_VARIANT_ORIGINAL);
	len = (unsigned)snprintf(answer, sizeof(answer),
	                         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	                         "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	                         accept);
	return ws_text_raw(answer, len);
}

static void adopt(struct ws *w, struct adoption *a)
{
	struct ws_client *c = ws_client_new(&w->io, a->fd, &a->person, clock_mono_ms());
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	const int bytes = WS_SEND_BUFFER;

	if (!c) {
		close(a->fd);
		ws_session_leave(w, &a->person);
		return;
	}
	client_add(w, c);
	if (a->person.ends != ws_ends(w))
		c->check_ms = 0;
	(void)setsockopt(a->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	if (epoll_ctl(w->io.epoll_fd, EPOLL_CTL_ADD, a->fd, &event) != 0)
		client_remove(w, c);
	else
		ws_client_send(c, answer_of(a->key));
}

static void on_adopt(struct ws *w, struct ws_task *task)
{
	struct adoption *a = (struct adoption *)task;

	if (w->is_closing) {
		close(a->fd);
		ws_session_leave(w, &a->person);
	} else {
		adopt(w, a);
	}
	free(a);
}

void ws_adopt(struct ws *w, int fd, const struct ws_person *p, const char *key)
{
	struct adoption *a = calloc(1, sizeof(*a));

	if (!a) {
		close(fd);
		ws_slot_give(w->slots, p);
		return;
	}
	a->task.run = on_adopt;
	a->fd = fd;
	a->person = *p;
	snprintf(a->key, sizeof(a->key), "%s", key);
	ws_post(w, &a->task);
}

/* ---- the loop ---------------------------------------------------------------------------------- */

static void client_tick(struct ws *w, struct ws_client *c, long long now_ms, long long now_s)
{
	if (c->person.expires_s && now_s >= c->person.expires_s)
		ws_client_close(c, WS_CLOSE_SIGNED_OUT, "the token has expired");
	if (now_ms >= c->check_ms && !c->is_checking && !c->close_code)
		ws_session_check(w, c);
	if (ws_client_tick(c, now_ms))
		client_remove(w, c);
}

/* What nothing tells of. */
static void tick(struct ws *w, long long now_ms)
{
	long long now_s = clock_now_ms() / 1000;
	struct ws_client *c, *next;

	for (c = w->clients; c; c = next) {
		next = c->next;
		client_tick(w, c, now_ms, now_s);
	}
	if (w->is_closing)
		return;
	ws_events_look(w->events);
	ws_topics_tick(w->topics, now_ms);
}

/* Where this process stood still, what came meanwhile lies unread, and takes more than one round. */
static void look_back(struct ws *w, long long now_ms)
{
	if (w->tick_ms && now_ms - w->tick_ms > STOOD_STILL_MS)
		w->io.judge_ms = now_ms + w->io.dead_ms - w->io.ping_ms;
}

static void wait_for_events(struct ws *w)
{
	struct epoll_event events[EVENTS_MAX];
	long long left_ms = w->tick_ms - clock_mono_ms();
	int n = epoll_wait(w->io.epoll_fd, events, EVENTS_MAX, left_ms > 0 ? (int)left_ms : 0);
	eventfd_t count;

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			on_socket(w, events[i].data.ptr, events[i].events);
		else
			(void)eventfd_read(w->wake_fd, &count);
	}
}

static bool is_done(const struct ws *w, long long now_ms)
{
	return w->is_closing && (!w->clients || now_ms > w->close_ms);
}

static void *loop(void *closure)
{
	struct ws *w = closure;
	long long now_ms;

	do {
		wait_for_events(w);
		run_inbox(w);
		now_ms = clock_mono_ms();
		if (now_ms >= w->tick_ms) {
			look_back(w, now_ms);
			w->tick_ms = now_ms + (w->is_closing ? CLOSING_TICK_MS : TICK_MS);
			tick(w, now_ms);
		}
		flush_dirty(w);
		bury(w);
	} while (!is_done(w, now_ms));
	while (w->clients)
		client_remove(w, w->clients);
	bury(w);
	return NULL;
}

static void on_quiesce(struct ws *w, struct ws_task *task)
{
	w->is_closing = true;
	w->close_ms = clock_mono_ms() + CLOSING_MS;
	w->tick_ms = 0;
	ws_close_session(w, NULL, WS_CLOSE_GOING_AWAY, "going away, come back");
	free(task);
}

/* As many sockets as may be. */
static void raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max < FILES_MAX ? r.rlim_max : FILES_MAX;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		log_warn("the limit of open files stays as it is");
}

static int io_make(struct ws *w, struct err *e)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	w->io.on_text = on_text;
	w->io.ping_ms = w->app->ws_ping_s * 1000;
	w->io.dead_ms = w->io.ping_ms * WS_DEAD_RATIO;
	w->io.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->io.epoll_fd < 0 || w->wake_fd < 0 ||
	    epoll_ctl(w->io.epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &event) != 0)
		return err_set(e, ERR_INTERNAL, "cannot make an epoll: %s", strerrordesc_np(errno));
	raise_files();
	return 0;
}

static void beat_first(struct ws *w)
{
	struct err e = ERR_INIT;

	/* Before anyone listens; where Redis is away ws_beat goes on trying. */
	if (ws_slots_begin(w->slots, &e) < 0)
		log_warn("Redis is away, sockets will do without for now", "error", e.msg);
}

int ws_start(struct app *app, struct ws **ret, struct err *e)
{
	struct ws *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = w;
	w->app = app;
	w->io.epoll_fd = w->wake_fd = -1;
	pthread_mutex_init(&w->lock, NULL);
	if (ws_slots_new(app, &w->slots, e) < 0 ||
	    ws_topics_new(w, ws_call_start, &w->topics, e) < 0 || io_make(w, e) < 0)
		return -1;
	beat_first(w);
	if (ws_events_start(w, &w->events, e) < 0 || ws_gate_start(w, &w->gate, e) < 0)
		return -1;
	if (pthread_create(&w->thread, NULL, loop, w) != 0) {
		w->thread = 0;
		return err_set(e, ERR_INTERNAL, "cannot start a thread");
	}
	return ws_beat_start(w, &w->beat, e);
}

void ws_quiesce(struct ws *w)
{
	struct ws_task *t;

	ws_gate_stop(w->gate);
	w->gate = NULL;
	ws_beat_stop(TAKE(w->beat));
	if (!w->thread)
		return;
	while (!(t = calloc(1, sizeof(*t))))
		clock_sleep_ms(10);
	t->run = on_quiesce;
	ws_post(w, t);
	pthread_join(w->thread, NULL);
	w->thread = 0;
	ws_slots_end(w->slots);
}

void ws_free(struct ws *w)
{
	if (!w)
		return;
	w->is_closing = true;
	run_inbox(w);
	flush_dirty(w);
	ws_reader_free(w->io.spare);
	if (w->io.epoll_fd >= 0)
		close(w->io.epoll_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	ws_topics_free(w->topics);
	ws_events_free(w->events);
	ws_slots_free(w->slots);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
