#include "link/conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "link/look.h"
#include "link/lws_quiet.h"

#include <sodium.h>

#define ID_SUBSCRIBE "subscribe"
#define APPROVE_MS   15000       /* for our key to be approved */
#define KEPT_RX      (64 * 1024) /* bytes of a buffer that is kept between frames */
#define SILENT_TICKS 5 / 2       /* of its ticks: it is gone */

struct conn *conn_new(struct links *l, const struct link_target *t, struct news_desk *desk)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->links = l;
	c->target = *t;
	c->box = news_box_open(desk, t->id, t->user_id);
	c->looks = news_box_open(desk, t->id, t->user_id);
	if (!c->box || !c->looks) {
		conn_free(c);
		return NULL;
	}
	return c;
}

static void texts_drop(struct conn *c)
{
	struct conn_text *t, *next;

	for (t = c->first; t; t = next) {
		next = t->next;
		sodium_memzero(t->data, LWS_PRE + t->len); /* connect has the token in it */
		free(t);
	}
	c->first = c->last = NULL;
	c->tx_bytes = 0;
}

static void asks_fail(struct conn *c, enum err_code code, const char *text)
{
	struct err e = ERR_INIT;

	err_set(&e, code, "%s", text);
	while (c->asks) {
		struct conn_ask *a = c->asks;

		c->asks = a->next;
		links_end_ask(c->links, a, NULL, &e);
	}
	c->ask_count = 0;
}

void conn_free(struct conn *c)
{
	asks_fail(c, ERR_UNAVAILABLE, "the assistant is not reached any more");
	texts_drop(c);
	news_box_close(c->box);
	news_box_close(c->looks);
	if (c->rx)
		explicit_bzero(c->rx, c->rx_size);
	free(c->rx);
	sodium_memzero(c, sizeof(*c));
	free(c);
}

int conn_send(struct conn *c, const char *text, struct err *e)
{
	size_t len = strlen(text);
	struct conn_text *t;

	if (c->tx_bytes + len > LINK_SEND_MAX || (long long)len > c->payload_max)
		return err_set(e, ERR_TOO_LARGE, "more than the assistant takes at once");
	t = calloc(1, sizeof(*t) + LWS_PRE + len);
	if (!t)
		return err_set(e, ERR_INTERNAL, "out of memory");
	t->len = len;
	memcpy(t->data + LWS_PRE, text, len);
	if (c->last)
		c->last->next = t;
	else
		c->first = t;
	c->last = t;
	c->tx_bytes += len;
	links_want_write(c);
	return 0;
}

/* ---- the handshake ------------------------------------------------------------------------------ */

static int greet(struct conn *c, const struct frame *f, struct err *e)
{
	OWN(json_text) char *text = NULL;
	const char *token;
	int r;

	if (frame_challenge(f, &c->challenge, e) < 0)
		return -1;
	c->is_device = c->target.device_token[0] != '\0';
	token = c->is_device ? c->target.device_token : c->target.gateway_token;
	if (frame_connect(links_device(c->links), &c->challenge, token, &text, e) < 0)
		return -1;
	c->state = CONN_GREETING;
	r = conn_send(c, text, e);
	vault_wipe(text);
	return r;
}

/* NOT_PAIRED is how each gateway begins; any other no may be because of the device's token, which
 * the gateway's own replaces at the next try. */
static int refused(struct conn *c, const struct frame *f, struct err *e)
{
	if (c->is_device) {
		sodium_memzero(c->target.device_token, sizeof(c->target.device_token));
		c->tries = 0;
		return err_set(e, ERR_UPSTREAM, "the assistant's gateway refused our device (%s)",
		               f->code);
	}
	if (strcmp(f->code, "NOT_PAIRED") == 0 && f->request_id[0]) {
		c->state = CONN_APPROVING;
		if (!news_put(c->box, NEWS_APPROVE, f->request_id, NULL))
			c->state = CONN_GREETING;
		return err_set(e, ERR_UPSTREAM, "our device is being approved");
	}
	return err_set(e, ERR_UPSTREAM, "the assistant's gateway refused us (%s): %s", f->code,
	               f->message);
}

static int greeted(struct conn *c, struct frame *f, struct err *e)
{
	OWN(json) cJSON *none = cJSON_CreateObject();
	OWN(json_text) char *text = NULL;
	struct frame_hello hello;

	if (f->is_event || strcmp(f->name, "connect") != 0)
		return 0; /* events may come first */
	if (!f->is_ok)
		return refused(c, f, e);
	if (frame_hello(f, &hello, e) < 0)
		return -1;
	c->payload_max = hello.payload_max;
	c->tick_ms = hello.tick_ms;
	if (hello.device_token[0] && strcmp(hello.device_token, c->target.device_token) != 0) {
		snprintf(c->target.device_token, sizeof(c->target.device_token), "%s",
		         hello.device_token);
		(void)news_put(c->box, NEWS_TOKEN, hello.device_token, NULL);
	}
	sodium_memzero(&hello, sizeof(hello));
	c->state = CONN_SUBSCRIBING;
	if (frame_request(ID_SUBSCRIBE, "sessions.subscribe", none, &text, e) < 0)
		return -1;
	return conn_send(c, text, e);
}

static int subscribed(struct conn *c, const struct frame *f, struct err *e)
{
	if (f->is_event || strcmp(f->name, ID_SUBSCRIBE) != 0)
		return 0;
	if (!f->is_ok)
		return frame_error(f, e);
	c->state = CONN_UP;
	c->up_ms = c->heard_ms;
	c->resync_ms = c->up_ms + LINK_RESYNC_MS;
	c->why[0] = '\0';
	look_begin(c);
	links_count_up(c->links, 1);
	log_info("assistant linked", "instance_id", c->target.id, "user_id", c->target.user_id);
	(void)news_put(c->box, NEWS_UP, "", NULL);
	return 0;
}

/* ---- what comes --------------------------------------------------------------------------------- */

static void answered(struct conn *c, struct frame *f)
{
	for (struct conn_ask **at = &c->asks; *at; at = &(*at)->next) {
		struct conn_ask *a = *at;
		struct err why = ERR_INIT;

		if (strcmp(a->id, f->name) != 0)
			continue;
		*at = a->next;
		c->ask_count--;
		if (!f->is_ok)
			frame_error(f, &why);
		links_end_ask(c->links, a, TAKE(f->payload), &why);
		return;
	}
	/* One that nobody waits for any more. */
}

/* What goes wrong each time is not tried all the time. */
bool conn_resync(struct conn *c, long long now_ms)
{
	long long at_ms = now_ms + LINK_AGAIN_MS;
	bool is_sooner;

	if (c->is_again && at_ms < c->synced_ms + LINK_AGAIN_MAX_MS)
		at_ms = c->synced_ms + LINK_AGAIN_MAX_MS;
	is_sooner = at_ms < c->resync_ms;
	if (is_sooner)
		c->resync_ms = at_ms;
	c->is_again = true;
	return is_sooner;
}

/* seq counts what the gateway sent on this connection: a number left out is a frame that it
 * dropped, since we read too slowly. What it held is asked for. */
static void seq_follow(struct conn *c, const struct frame *f)
{
	if (!f->seq)
		return;
	if (c->seq && f->seq != c->seq + 1) {
		if (conn_resync(c, c->heard_ms))
			log_warn("frames of the assistant's gateway are missing, asking anew",
			         "instance_id", c->target.id);
	}
	c->seq = f->seq;
}

static int take(struct conn *c, struct frame *f, struct err *e)
{
	if (f->is_event)
		seq_follow(c, f);
	switch (c->state) {
	case CONN_OPENING:
		return greet(c, f, e);
	case CONN_GREETING:
		return greeted(c, f, e);
	case CONN_SUBSCRIBING:
		if (f->is_event)
			break;
		return subscribed(c, f, e);
	case CONN_UP:
		if (!f->is_event && !look_answered(c, f))
			answered(c, f);
		break;
	case CONN_WAITING:
	case CONN_APPROVING:
		return 0;
	}
	if (f->is_event)
		(void)news_put(c->box, NEWS_EVENT, f->name, TAKE(f->payload));
	return 0;
}

static int credit_take(struct conn *c, struct err *e)
{
	c->credits += (double)(c->heard_ms - c->credits_ms) * LINK_FRAMES_PER_S / 1000;
	c->credits_ms = c->heard_ms;
	if (c->credits > LINK_FRAMES_BURST)
		c->credits = LINK_FRAMES_BURST;
	if (c->credits < 1)
		return err_set(e, ERR_UPSTREAM, "the assistant's gateway floods us");
	c->credits -= 1;
	return 0;
}

static int rx_add(struct conn *c, const void *data, size_t len, struct err *e)
{
	size_t need = c->rx_len + len + 1, size = c->rx_size ? c->rx_size : 4096;
	char *more;

	if (c->rx_len + len > FRAME_MAX)
		return err_set(e, ERR_UPSTREAM, "the assistant's gateway sent more than %zu bytes",
		               FRAME_MAX);
	while (size < need)
		size *= 2;
	if (size != c->rx_size) {
		more = realloc(c->rx, size);
		if (!more)
			return err_set(e, ERR_INTERNAL, "out of memory");
		c->rx = more;
		c->rx_size = size;
	}
	memcpy(c->rx + c->rx_len, data, len);
	c->rx_len += len;
	c->rx[c->rx_len] = '\0';
	return 0;
}

static void rx_clear(struct conn *c)
{
	c->rx_len = 0;
	if (c->rx_size > KEPT_RX) {
		free(c->rx);
		c->rx = NULL;
		c->rx_size = 0;
	}
}

int conn_received(struct conn *c, const void *data, size_t len, bool is_last, struct err *e)
{
	struct frame f __attribute__((cleanup(own_frame))) = { 0 };
	int r;

	c->heard_ms = clock_mono_ms();
	if (rx_add(c, data, len, e) < 0)
		return -1;
	if (!is_last)
		return 0;
	r = credit_take(c, e);
	if (r == 0)
		r = frame_read(c->rx, c->rx_len, &f, e);
	if (r == 0)
		r = take(c, &f, e);
	rx_clear(c);
	return r;
}

/* ---- its life ----------------------------------------------------------------------------------- */

void conn_opened(struct conn *c)
{
	c->heard_ms = c->credits_ms = clock_mono_ms();
	c->credits = LINK_FRAMES_BURST;
	c->payload_max = FRAME_MAX;
	c->seq = 0;
	c->cut_why[0] = '\0';
}

static long long retry_ms(struct conn *c)
{
	long long ms = LINK_RETRY_MIN_MS;

	for (unsigned i = 0; i < c->tries && ms < LINK_RETRY_MAX_MS; i++)
		ms *= 2;
	if (ms > LINK_RETRY_MAX_MS)
		ms = LINK_RETRY_MAX_MS;
	c->tries++;
	return ms / 2 + (long long)randombytes_uniform((uint32_t)(ms / 2 + 1));
}

void conn_gone(struct conn *c, const char *why)
{
	long long now_ms = clock_mono_ms();

	c->wsi = NULL;
	if (c->state == CONN_UP) {
		links_count_up(c->links, -1);
		(void)news_put(c->box, NEWS_DOWN, why, NULL);
		if (now_ms - c->up_ms > LINK_STEADY_MS)
			c->tries = 0;
	}
	/* The same again is not news. */
	if (c->state != CONN_APPROVING && !c->is_leaving && strcmp(c->why, why) != 0) {
		log_info("assistant not linked, trying again", "instance_id", c->target.id,
		         "reason", why);
		snprintf(c->why, sizeof(c->why), "%s", why);
	}
	c->cut_why[0] = '\0';
	asks_fail(c, ERR_UNAVAILABLE, "the assistant is not reached right now");
	texts_drop(c);
	rx_clear(c);
	c->due_ms = now_ms + (c->state == CONN_APPROVING ? APPROVE_MS : retry_ms(c));
	if (c->is_urgent)
		c->due_ms = now_ms;
	c->is_urgent = false;
	if (c->state != CONN_APPROVING)
		c->state = CONN_WAITING;
}

static void asks_tick(struct conn *c, long long now_ms)
{
	struct conn_ask **at = &c->asks;
	struct err late = ERR_INIT;

	err_set(&late, ERR_TIMEOUT, "the assistant does not answer");
	while (*at) {
		struct conn_ask *a = *at;

		if (now_ms < a->due_ms) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		c->ask_count--;
		links_end_ask(c->links, a, NULL, &late);
	}
}

int conn_tick(struct conn *c, long long now_ms, struct err *e)
{
	asks_tick(c, now_ms);
	if (c->state == CONN_UP && now_ms >= c->resync_ms) {
		c->resync_ms = now_ms + LINK_RESYNC_MS;
		c->is_again = now_ms < c->synced_ms + 2 * LINK_AGAIN_MAX_MS;
		c->synced_ms = now_ms;
		(void)news_put(c->box, NEWS_GAP, "", NULL);
	}
	if (c->state == CONN_UP)
		look_tick(c, now_ms);
	if (c->state == CONN_UP && now_ms > c->heard_ms + c->tick_ms * SILENT_TICKS)
		return err_set(e, ERR_TIMEOUT, "the assistant's gateway is silent");
	if (c->wsi && c->state != CONN_UP && now_ms > c->due_ms)
		return err_set(e, ERR_TIMEOUT, "the assistant's gateway does not answer");
	return 0;
}

void conn_ask(struct conn *c, struct conn_ask *a)
{
	struct err e = ERR_INIT;

	if (c->state != CONN_UP)
		err_busy(&e, ERR_UNAVAILABLE, 1, "the assistant is not reached right now");
	else if (c->ask_count >= LINK_ASKS_MAX)
		err_busy(&e, ERR_LIMIT, 1, "too much is asked of the assistant at once");
	else if (conn_send(c, a->text, &e) == 0) {
		a->next = c->asks;
		c->asks = a;
		c->ask_count++;
		return;
	}
	links_end_ask(c->links, a, NULL, &e);
}
