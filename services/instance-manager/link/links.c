#include "link/loop.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "link/lws_quiet.h"

#include <pthread.h>
#include <sodium.h>

#define TICK_US  (LWS_US_PER_SEC / 4)
#define RX_BYTES 4096 /* longer texts come in pieces */

const struct device *links_device(const struct links *l)
{
	return &l->device;
}

void links_count_up(struct links *l, int change)
{
	pthread_mutex_lock(&l->lock);
	l->figures.up += (size_t)change;
	pthread_mutex_unlock(&l->lock);
}

static void count_wanted(struct links *l, int change)
{
	pthread_mutex_lock(&l->lock);
	l->figures.wanted += (size_t)change;
	pthread_mutex_unlock(&l->lock);
}

void links_figures(struct links *l, struct links_figures *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = l->figures;
	pthread_mutex_unlock(&l->lock);
}

void links_keep_until(struct links *l, long long mono_ms)
{
	l->until_ms = mono_ms;
}

struct conn **links_slot(struct links *l, const char *id)
{
	unsigned long long h = 1469598103934665603ULL;
	struct conn **at;

	for (const char *c = id; *c; c++)
		h = (h ^ (unsigned char)*c) * 1099511628211ULL;
	at = &l->conns[h % LOOP_BUCKETS];
	while (*at && strcmp((*at)->target.id, id) != 0)
		at = &(*at)->next;
	return at;
}

/* False: there is no loop any more. */
bool links_post(struct links *l, struct task *t)
{
	bool is_running;

	pthread_mutex_lock(&l->lock);
	is_running = l->is_running;
	if (is_running) {
		if (l->last)
			l->last->next = t;
		else
			l->first = t;
		l->last = t;
		/* Within the lock, so that the context is there. */
		lws_cancel_service(l->context);
	}
	pthread_mutex_unlock(&l->lock);
	return is_running;
}

struct task *links_task(const char *id, void (*run)(struct links *l, struct task *t))
{
	struct task *t = calloc(1, sizeof(*t));

	if (t) {
		snprintf(t->id, sizeof(t->id), "%s", id);
		t->run = run;
	}
	return t;
}

/* ---- sockets ------------------------------------------------------------------------------------ */

void links_want_write(struct conn *c)
{
	if (c->wsi)
		lws_callback_on_writable(c->wsi);
}

static void drop(struct links *l, struct conn *c)
{
	struct conn **at = links_slot(l, c->target.id);

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	conn_free(c);
}

/* libwebsockets tells of the socket's end later, by a callback. */
static void cut(struct conn *c)
{
	if (c->wsi)
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
}

static void gone(struct links *l, struct conn *c, const char *why)
{
	conn_gone(c, why);
	if (c->is_leaving)
		drop(l, c);
}

/* Told when its end is heard of. Not by returning -1: where that comes in the midst of a long frame,
 * libwebsockets 4.1.6 reads on past its buffer. */
static void fail(struct conn *c, const struct err *e)
{
	snprintf(c->cut_why, sizeof(c->cut_why), "%s", e->msg);
	cut(c);
}

static int on_receive(struct conn *c, struct lws *wsi, const void *data, size_t len)
{
	struct err e = ERR_INIT;
	bool is_last = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;

	if (c->cut_why[0])
		return 0; /* it is being cut */
	if (lws_frame_is_binary(wsi))
		err_set(&e, ERR_UPSTREAM, "the assistant's gateway sent no text");
	else if (conn_received(c, data, len, is_last, &e) == 0)
		return 0;
	fail(c, &e);
	return 0;
}

static int on_writable(struct conn *c, struct lws *wsi)
{
	struct conn_text *t = c->first;
	int sent;

	if (!t)
		return 0;
	c->first = t->next;
	if (!c->first)
		c->last = NULL;
	c->tx_bytes -= t->len;
	sent = lws_write(wsi, t->data + LWS_PRE, t->len, LWS_WRITE_TEXT);
	sodium_memzero(t->data, LWS_PRE + t->len);
	free(t);
	if (sent < 0)
		return -1;
	links_want_write(c);
	return 0;
}

static void run_inbox(struct links *l)
{
	struct task *t, *next;

	pthread_mutex_lock(&l->lock);
	t = l->first;
	l->first = l->last = NULL;
	pthread_mutex_unlock(&l->lock);
	for (; t; t = next) {
		next = t->next;
		t->run(l, t);
	}
}

static int on_socket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t len)
{
	struct links *l = lws_context_user(lws_get_context(wsi));
	struct conn *c = lws_get_opaque_user_data(wsi);

	if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
		run_inbox(l);
		return 0;
	}
	if (!c)
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	switch (reason) {
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		c->wsi = wsi;
		conn_opened(c);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return on_receive(c, wsi, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return on_writable(c, wsi);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		lws_set_opaque_user_data(wsi, NULL);
		gone(l, c, "its gateway does not take connections");
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY: /* whichever way it went */
		lws_set_opaque_user_data(wsi, NULL);
		gone(l, c, c->cut_why[0] ? c->cut_why : "its gateway closed the link");
		return 0;
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

static void open_link(struct links *l, struct conn *c)
{
	struct lws_client_connect_info info = {
		.context = l->context,
		.vhost = l->vhost,
		.address = c->target.address,
		.host = c->target.address,
		.port = c->target.port,
		.path = "/",
		.local_protocol_name = "openclaw",
		.opaque_user_data = c,
		.pwsi = &c->wsi,
	};

	c->state = CONN_OPENING;
	c->due_ms = clock_mono_ms() + fault_patience(LINK_OPEN_MS);
	/* Where it fails at once, it may or may not have been told by a callback. */
	if (!lws_client_connect_via_info(&info) && c->state == CONN_OPENING)
		conn_gone(c, "its gateway does not take connections");
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void on_tick(lws_sorted_usec_list_t *sul)
{
	struct links *l = (struct links *)((char *)sul - offsetof(struct links, tick));
	long long now_ms = clock_mono_ms();

	for (size_t i = 0; i < LOOP_BUCKETS; i++) {
		struct conn *next;

		for (struct conn *c = l->conns[i]; c; c = next) {
			struct err e = ERR_INIT;

			next = c->next;
			if (now_ms > l->until_ms && c->state != CONN_WAITING)
				err_set(&e, ERR_UNAVAILABLE, "the lease on it ran out");
			if (e.code != ERR_NONE || conn_tick(c, now_ms, &e) < 0) {
				snprintf(c->cut_why, sizeof(c->cut_why), "%s", e.msg);
				cut(c);
			} else if (!c->wsi && !c->is_leaving && now_ms >= c->due_ms &&
			           now_ms <= l->until_ms) {
				open_link(l, c);
			}
		}
	}
	lws_sul_schedule(l->context, 0, &l->tick, on_tick, TICK_US);
}

static void on_remove(struct links *l, struct task *t)
{
	struct conn *c = *links_slot(l, t->id);

	free(t);
	if (!c || c->is_leaving)
		return;
	count_wanted(l, -1);
	c->is_leaving = true;
	if (c->wsi)
		cut(c);
	else
		drop(l, c);
}

static void on_add(struct links *l, struct task *t)
{
	struct conn **at = links_slot(l, t->id), *c = *at;

	if (c && !c->is_leaving) {
		c->target = *t->target;
		c->tries = 0;
		c->due_ms = 0;
		c->is_urgent = c->wsi != NULL;
		cut(c);
	} else if (!c) {
		c = conn_new(l, t->target, l->desk);
		if (c) {
			*at = c;
			count_wanted(l, 1);
			open_link(l, c);
		} else {
			log_error("an assistant is not linked", "instance_id", t->id, "error",
			          "out of memory");
		}
	}
	sodium_memzero(t->target, sizeof(*t->target));
	free(t->target);
	free(t);
}

static void on_retry(struct links *l, struct task *t)
{
	struct conn *c = *links_slot(l, t->id);

	if (c && !c->wsi) {
		c->tries = 0;
		open_link(l, c);
	} else if (c) {
		c->is_urgent = true;
	}
	free(t);
}

static void on_resync(struct links *l, struct task *t)
{
	struct conn *c = *links_slot(l, t->id);

	if (c)
		(void)conn_resync(c, clock_mono_ms());
	free(t);
}

static void on_end(struct links *l, struct task *t)
{
	l->is_stopping = true;
	free(t);
}

static void post_or_free(struct links *l, struct task *t)
{
	if (t && !links_post(l, t)) {
		free(t->target);
		free(t);
	}
}

void links_add(struct links *l, const struct link_target *target)
{
	struct task *t = links_task(target->id, on_add);

	if (t)
		t->target = malloc(sizeof(*t->target));
	if (!t || !t->target) {
		free(t);
		return;
	}
	*t->target = *target;
	post_or_free(l, t);
}

void links_remove(struct links *l, const char *instance_id)
{
	post_or_free(l, links_task(instance_id, on_remove));
}

void links_retry(struct links *l, const char *instance_id)
{
	post_or_free(l, links_task(instance_id, on_retry));
}

void links_resync(struct links *l, const char *instance_id)
{
	post_or_free(l, links_task(instance_id, on_resync));
}

static void conns_end(struct links *l)
{
	for (size_t i = 0; i < LOOP_BUCKETS; i++) {
		while (l->conns[i]) {
			struct conn *c = l->conns[i];

			l->conns[i] = c->next;
			if (c->wsi)
				lws_set_opaque_user_data(c->wsi, NULL);
			conn_free(c);
		}
	}
}

static void *loop(void *closure)
{
	struct links *l = closure;

	while (!l->is_stopping && lws_service(l->context, 0) >= 0)
		continue;
	pthread_mutex_lock(&l->lock);
	l->is_running = false;
	pthread_mutex_unlock(&l->lock);
	run_inbox(l);
	conns_end(l);
	lws_sul_cancel(&l->tick);
	lws_context_destroy(l->context);
	return NULL;
}

static int context_make(struct links *l, struct err *e)
{
	/* Gateways tell by ticks that they live; libwebsockets' own pings are put off for good. */
	static const lws_retry_bo_t no_pings = { .secs_since_valid_ping = 65000,
		                                 .secs_since_valid_hangup = 65001 };
	static const struct lws_protocols protocols[] = {
		{ .name = "openclaw", .callback = on_socket, .rx_buffer_size = RX_BYTES },
		{ .name = NULL },
	};
	const struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.user = l,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.retry_and_idle_policy = &no_pings,
		.http_proxy_address = "", /* else it takes the environment's */
	};

	lws_set_log_level(0, NULL); /* what matters is said by us */
	l->context = lws_create_context(&info);
	if (l->context)
		l->vhost = lws_get_vhost_by_name(l->context, "default");
	if (!l->vhost)
		return err_set(e, ERR_INTERNAL, "libwebsockets does not start");
	lws_sul_schedule(l->context, 0, &l->tick, on_tick, TICK_US);
	return 0;
}

int links_start(struct app *app, struct links **ret, struct err *e)
{
	struct links *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = l;
	l->app = app;
	pthread_mutex_init(&l->lock, NULL);
	device_make(app->vault, app->platform_id, &l->device);
	if (news_desk_start(app, &l->desk, e) < 0 || context_make(l, e) < 0)
		return -1;
	l->is_running = true;
	if (pthread_create(&l->thread, NULL, loop, l) != 0) {
		l->is_running = false;
		return err_set(e, ERR_INTERNAL, "no thread for the links");
	}
	l->has_thread = true;
	return 0;
}

void links_stop(struct links *l)
{
	if (!l)
		return;
	if (l->has_thread) {
		post_or_free(l, links_task("", on_end));
		pthread_join(l->thread, NULL);
	} else if (l->context) {
		lws_context_destroy(l->context);
	}
	news_desk_stop(l->desk);
	pthread_mutex_destroy(&l->lock);
	sodium_memzero(l, sizeof(*l));
	free(l);
}
