#include "ws_client.h"

#include "base/clock.h"

#define WRITES_MAX 8 /* frames written in one go, so that others get their turn */

struct ws_queued {
	struct ws_queued *next;
	struct ws_text *text;
	bool is_event;
};

/* Forgets what waits to be written, and what was half read. */
static void clear(struct ws_client *c)
{
	while (c->first) {
		struct ws_queued *q = c->first;

		c->first = q->next;
		ws_text_drop(q->text);
		free(q);
	}
	c->last = NULL;
	c->queued = c->queued_bytes = c->queued_events = c->queued_events_bytes = 0;
	free(c->rx);
	c->rx = NULL;
	c->rx_len = 0;
}

struct bus_ctx ws_person_ctx(const struct ws_person *p, const char *trace_id)
{
	struct bus_ctx ctx = { .trace_id = "" };

	snprintf(ctx.trace_id, sizeof(ctx.trace_id), "%s", trace_id ? trace_id : p->trace_id);
	memcpy(ctx.user_id, p->user_id, sizeof(ctx.user_id));
	memcpy(ctx.session_id, p->session_id, sizeof(ctx.session_id));
	memcpy(ctx.client_address, p->client_address, sizeof(ctx.client_address));
	return ctx;
}

struct ws_client *ws_client_new(const struct ws_person *p, long long now_ms)
{
	struct ws_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->holders = 1;
	c->person = *p;
	c->budget = WS_BURST * 1000;
	c->frames_ms = c->heard_ms = now_ms;
	c->ping_ms = now_ms + WS_PING_MS;
	/* Not all in one second, after all have come back at once. */
	c->check_ms = now_ms + WS_CHECK_MS / 2 + (long long)((uintptr_t)c / 64 % (WS_CHECK_MS / 2));
	return c;
}

struct ws_client *ws_client_hold(struct ws_client *c)
{
	c->holders++;
	return c;
}

void ws_client_drop(struct ws_client *c)
{
	if (--c->holders > 0)
		return;
	clear(c);
	free(c);
}

void ws_client_close(struct ws_client *c, int code, const char *reason)
{
	if (c->close_code || !c->wsi)
		return;
	clear(c);
	c->close_code = code;
	c->close_reason = reason;
	c->kill_ms = clock_mono_ms() + WS_CLOSE_MS;
	lws_callback_on_writable(c->wsi);
}

static void queue(struct ws_client *c, struct ws_text *t, bool is_event)
{
	OWN(ws_text) struct ws_text *text = t;
	struct ws_queued *q;

	if (c->close_code || !c->wsi)
		return;
	q = text ? malloc(sizeof(*q)) : NULL;
	if (!q) {
		ws_client_close(c, WS_CLOSE_TRY_LATER, "out of memory");
		return;
	}
	c->queued++;
	c->queued_bytes += text->len;
	c->queued_events += is_event;
	c->queued_events_bytes += is_event ? text->len : 0;
	*q = (struct ws_queued){ .text = TAKE(text), .is_event = is_event };
	if (c->last)
		c->last->next = q;
	else
		c->first = q;
	c->last = q;
	lws_callback_on_writable(c->wsi);
}

void ws_client_send(struct ws_client *c, struct ws_text *t)
{
	queue(c, t, false);
}

void ws_client_send_event(struct ws_client *c, struct ws_text *t)
{
	queue(c, t, true);
	if (c->queued_events > WS_QUEUE_MSGS_MAX || c->queued_events_bytes > WS_QUEUE_BYTES_MAX)
		ws_client_close(c, WS_CLOSE_TRY_LATER,
		                "too slow: come back with your last position");
}

void ws_client_send_frame(struct ws_client *c, const struct ws_frame_out *f)
{
	ws_client_send(c, ws_text_frame(f));
}

void ws_client_send_error(struct ws_client *c, const char *topic, const char *trace_id,
                          const struct err *e)
{
	const struct ws_frame_out f = {
		.event = "error", .topic = topic, .trace_id = trace_id, .err = e
	};

	ws_client_send_frame(c, &f);
}

static int write_ping(struct ws_client *c)
{
	/* libwebsockets 4.1.6 does not tell of a pong with nothing in it. */
	unsigned char room[LWS_PRE + 1] = { 0 };

	c->wants_ping = false;
	room[LWS_PRE] = '?';
	return lws_write(c->wsi, room + LWS_PRE, 1, LWS_WRITE_PING) < 0 ? -1 : 0;
}

static int write_first(struct ws_client *c)
{
	struct ws_queued *q = c->first;
	/* Each write puts the same frame header in front of the shared text. */
	int n = lws_write(c->wsi, ws_text_data(q->text), q->text->len, LWS_WRITE_TEXT);

	c->first = q->next;
	if (!c->first)
		c->last = NULL;
	c->queued--;
	c->queued_bytes -= q->text->len;
	c->queued_events -= q->is_event;
	c->queued_events_bytes -= q->is_event ? q->text->len : 0;
	ws_text_drop(q->text);
	free(q);
	return n < 0 ? -1 : 0;
}

int ws_client_on_writable(struct ws_client *c)
{
	if (c->close_code) {
		lws_close_reason(c->wsi, (enum lws_close_status)c->close_code,
		                 (unsigned char *)c->close_reason, strlen(c->close_reason));
		return -1;
	}
	if (c->wants_ping && write_ping(c) < 0)
		return -1;
	for (int i = 0; c->first && i < WRITES_MAX && !lws_send_pipe_choked(c->wsi); i++)
		if (write_first(c) < 0)
			return -1;
	if (c->first)
		lws_callback_on_writable(c->wsi);
	return 0;
}

/* A bucket of WS_BURST frames that fills at WS_FRAMES_PER_S. */
static bool may_send(struct ws_client *c, long long now_ms)
{
	c->budget += (now_ms - c->frames_ms) * WS_FRAMES_PER_S;
	c->frames_ms = now_ms;
	if (c->budget > WS_BURST * 1000)
		c->budget = WS_BURST * 1000;
	c->budget -= 1000;
	return c->budget >= 0;
}

void ws_client_on_data(struct ws_client *c, const char *data, size_t len, long long now_ms,
                       const char **ret, size_t *ret_len)
{
	bool is_first = lws_is_first_fragment(c->wsi), is_last = lws_is_final_fragment(c->wsi);
	char *more;

	*ret = NULL;
	if (c->close_code)
		return;
	if (is_first) {
		free(c->rx);
		c->rx = NULL;
		c->rx_len = 0;
	}
	if (lws_frame_is_binary(c->wsi)) {
		ws_client_close(c, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE, "only text is understood");
	} else if (c->rx_len + len + lws_remaining_packet_payload(c->wsi) > WS_FRAME_MAX) {
		ws_client_close(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "message is too long");
	} else if (is_last && !may_send(c, now_ms)) {
		ws_client_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too many messages");
	} else if (is_first && is_last) {
		*ret = data;
		*ret_len = len;
	} else {
		more = realloc(c->rx, c->rx_len + len + 1);
		if (!more) {
			ws_client_close(c, WS_CLOSE_TRY_LATER, "out of memory");
			return;
		}
		memcpy(more + c->rx_len, data, len);
		c->rx = more;
		c->rx_len += len;
		*ret = is_last ? c->rx : NULL;
		*ret_len = c->rx_len;
	}
}

void ws_client_tick(struct ws_client *c, long long now_ms)
{
	if (!c->wsi)
		return;
	if (!c->close_code && now_ms >= c->ping_ms) {
		c->ping_ms = now_ms + WS_PING_MS;
		c->wants_ping = true;
		lws_callback_on_writable(c->wsi);
	}
	/* Without room in its socket's buffer not even a close frame can be written. */
	if ((c->close_code && now_ms > c->kill_ms) || now_ms - c->heard_ms > WS_DEAD_MS)
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}
