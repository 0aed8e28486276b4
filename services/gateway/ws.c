#include "ws.h"

#include "base/clock.h"
#include "base/log.h"
#include "ws_events.h"
#include "ws_gate.h"
#include "ws_request.h"
#include "ws_session.h"
#include "ws_slot.h"
#include "ws_topics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define TICK_US    (LWS_US_PER_SEC)
#define CLOSING_MS 3000  /* for all sockets to be gone when this process ends */
#define RX_BYTES   256   /* that a socket has always; longer frames come in pieces */
#define FILES_MAX  65536 /* libwebsockets keeps two pointers for each that there may be */

struct ws {
	pthread_mutex_t lock; /* guards first, last and is_running */
	struct ws_task *first, *last;
	bool is_running; /* there is a loop to wake */

	struct app *app;
	struct lws_context *context;
	struct lws_vhost *vhost;
	pthread_t thread;
	struct ws_gate *gate;
	struct ws_events *events;
	struct ws_slots *slots;

	/* The loop's thread alone. */
	struct ws_topics *topics;
	struct ws_client *clients;
	struct ws_client *adopting; /* whose socket libwebsockets is making right now */
	lws_sorted_usec_list_t tick;
	bool is_closing, is_done;
	long long close_ms; /* monotonic; when it ends whoever is left */
	long long beat_ms;
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
	/* Within the lock, so that the context is there. One that waits already will be seen. */
	if (is_first && w->is_running)
		lws_cancel_service(w->context);
	pthread_mutex_unlock(&w->lock);
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

static void client_remove(struct ws *w, struct ws_client *c)
{
	c->wsi = NULL;
	ws_topics_leave(w->topics, c);
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		w->clients = c->next;
	ws_session_leave(w, &c->person);
	ws_client_drop(c);
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

static void on_received(struct ws *w, struct ws_client *c, const char *data, size_t len)
{
	long long now_ms = clock_mono_ms();
	const char *text = NULL;
	size_t text_len = 0;

	c->heard_ms = now_ms;
	ws_client_on_data(c, data, len, now_ms, &text, &text_len);
	if (text)
		on_message(w, c, text, text_len);
}

static int on_writable(struct ws *w, struct ws_client *c)
{
	if (ws_client_on_writable(c) < 0)
		return -1;
	ws_topics_go_on(w->topics, c);
	return 0;
}

static int on_socket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t len)
{
	struct ws *w = lws_context_user(lws_get_context(wsi));
	struct ws_client **slot = user, *c = slot ? *slot : NULL;

	switch (reason) {
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		run_inbox(w);
		return 0;
	case LWS_CALLBACK_ESTABLISHED:
		if (!w->adopting || !slot)
			return -1;
		*slot = w->adopting;
		w->adopting->wsi = wsi;
		return 0;
	case LWS_CALLBACK_RECEIVE:
		assert(c); /* ESTABLISHED came first */
		on_received(w, c, in, len);
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		assert(c);
		c->heard_ms = clock_mono_ms();
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return on_writable(w, c);
	case LWS_CALLBACK_CLOSED:
		if (c)
			client_remove(w, c);
		return 0;
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		return 0;
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

void ws_close_session(struct ws *w, const char *session_id, int code, const char *reason)
{
	for (struct ws_client *c = w->clients; c; c = c->next)
		if (!session_id || strcmp(c->person.session_id, session_id) == 0)
			ws_client_close(c, code, reason);
}

/* ---- a new one --------------------------------------------------------------------------------- */

struct adoption {
	struct ws_task task; /* first */
	int fd;
	struct ws_person person;
	char key[32];
};

/* libwebsockets gets a request with nothing in it but what the handshake needs. It closes fd where
 * it does not come to be a socket. */
static void adopt(struct ws *w, struct adoption *a)
{
	struct ws_client *c = ws_client_new(&a->person, clock_mono_ms());
	char request[256];
	int n = snprintf(request, sizeof(request),
	                 "GET " WS_PATH " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
	                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	                 "Sec-WebSocket-Key: %s\r\n\r\n",
	                 a->key);

	if (!c) {
		close(a->fd);
		ws_session_leave(w, &a->person);
		return;
	}
	client_add(w, c);
	w->adopting = c;
	(void)lws_adopt_socket_vhost_readbuf(w->vhost, a->fd, request, (size_t)n);
	w->adopting = NULL;
	/* CLOSED is only told of what was ESTABLISHED. */
	if (!c->wsi)
		client_remove(w, c);
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
	ws_client_tick(c, now_ms);
}

static void on_tick(lws_sorted_usec_list_t *sul)
{
	struct ws *w = (struct ws *)((char *)sul - offsetof(struct ws, tick));
	long long now_ms = clock_mono_ms(), now_s = clock_now_ms() / 1000;

	for (struct ws_client *c = w->clients; c; c = c->next)
		client_tick(w, c, now_ms, now_s);
	if (!w->is_closing) {
		ws_events_look(w->events);
		ws_topics_tick(w->topics, now_ms);
		if (now_ms >= w->beat_ms) {
			w->beat_ms = now_ms + WS_BEAT_MS;
			ws_session_beat(w);
		}
	}
	lws_sul_schedule(w->context, 0, &w->tick, on_tick, w->is_closing ? TICK_US / 20 : TICK_US);
	w->is_done = w->is_closing && (!w->clients || now_ms > w->close_ms);
}

static void *loop(void *closure)
{
	struct ws *w = closure;

	while (!w->is_done && lws_service(w->context, 0) >= 0)
		continue;
	pthread_mutex_lock(&w->lock);
	w->is_running = false;
	pthread_mutex_unlock(&w->lock);
	lws_sul_cancel(&w->tick);
	lws_context_destroy(w->context); /* those that are left are told CLOSED */
	return NULL;
}

static void on_quiesce(struct ws *w, struct ws_task *task)
{
	w->is_closing = true;
	w->close_ms = clock_mono_ms() + CLOSING_MS;
	ws_close_session(w, NULL, LWS_CLOSE_STATUS_GOINGAWAY, "going away, come back");
	lws_sul_schedule(w->context, 0, &w->tick, on_tick, 1);
	free(task);
}

/* As many sockets as may be, but not so many that tables for them take the memory. */
static void raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max < FILES_MAX ? r.rlim_max : FILES_MAX;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		log_warn("the limit of open files stays as it is");
}

static int context_make(struct ws *w, struct err *e)
{
	/* Ours is done here (WS_PING_MS); its own is put off for good. */
	static const lws_retry_bo_t no_pings = { .secs_since_valid_ping = 65000,
		                                 .secs_since_valid_hangup = 65001 };
	static const struct lws_protocols protocols[] = {
		{ .name = "zaki",
		  .callback = on_socket,
		  .per_session_data_size = sizeof(struct ws_client *),
		  .rx_buffer_size = RX_BYTES },
		{ .name = NULL },
	};
	const struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_VALIDATE_UTF8,
		.user = w,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.retry_and_idle_policy = &no_pings,
	};

	/* Its lines have URLs in them; what matters is said by us. */
	lws_set_log_level(0, NULL);
	raise_files();
	w->context = lws_create_context(&info);
	if (w->context)
		w->vhost = lws_get_vhost_by_name(w->context, "default");
	if (!w->vhost)
		return err_set(e, ERR_INTERNAL, "libwebsockets does not start");
	lws_sul_schedule(w->context, 0, &w->tick, on_tick, TICK_US);
	return 0;
}

static void beat_first(struct ws *w)
{
	struct err e = ERR_INIT;
	bool is_lost;

	/* Before anyone listens; where Redis is away the loop goes on trying. */
	if (ws_slots_beat(w->slots, &is_lost, &e) < 0)
		log_warn("Redis is away, sockets will do without for now", "error", e.msg);
}

int ws_start(struct app *app, struct ws **ret, struct err *e)
{
	struct ws *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = w;
	w->app = app;
	pthread_mutex_init(&w->lock, NULL);
	if (ws_slots_new(app, &w->slots, e) < 0 || ws_topics_new(w, &w->topics, e) < 0 ||
	    context_make(w, e) < 0)
		return -1;
	beat_first(w);
	w->is_running = true;
	if (ws_events_start(w, &w->events, e) < 0 || ws_gate_start(w, &w->gate, e) < 0)
		return -1;
	if (pthread_create(&w->thread, NULL, loop, w) != 0) {
		w->thread = 0;
		return err_set(e, ERR_INTERNAL, "cannot start a thread");
	}
	return 0;
}

void ws_quiesce(struct ws *w)
{
	struct ws_task *t;

	ws_gate_stop(w->gate);
	w->gate = NULL;
	if (!w->thread)
		return;
	while (!(t = calloc(1, sizeof(*t))))
		clock_sleep_ms(10);
	t->run = on_quiesce;
	ws_post(w, t);
	pthread_join(w->thread, NULL);
	w->thread = 0;
	w->context = NULL;
	ws_slots_end(w->slots);
}

void ws_free(struct ws *w)
{
	if (!w)
		return;
	/* A start that failed half way has a context and no loop. */
	if (w->context) {
		w->is_running = false;
		lws_context_destroy(w->context);
	}
	w->is_closing = true;
	run_inbox(w);
	ws_topics_free(w->topics);
	ws_events_free(w->events);
	ws_slots_free(w->slots);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
