#include "ws_client.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define WRITES_MAX 32 /* frames in one go */
#define REASON_MAX 123

struct ws_queued {
	struct ws_queued *next;
	struct ws_text *text;
	bool is_event, is_pong;
};

struct bus_ctx ws_person_ctx(const struct ws_person *p, const char *trace_id)
{
	struct bus_ctx ctx = { .trace_id = "" };

	snprintf(ctx.trace_id, sizeof(ctx.trace_id), "%s", trace_id ? trace_id : p->trace_id);
	memcpy(ctx.user_id, p->user_id, sizeof(ctx.user_id));
	memcpy(ctx.session_id, p->session_id, sizeof(ctx.session_id));
	memcpy(ctx.client_address, p->client_address, sizeof(ctx.client_address));
	return ctx;
}

struct ws_client *ws_client_new(struct ws_io *io, int fd, const struct ws_person *p,
                                long long now_ms)
{
	struct ws_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->io = io;
	c->fd = fd;
	c->holders = 1;
	c->person = *p;
	c->messages = (struct ws_budget){ WS_BURST * 1000, now_ms };
	c->pieces = (struct ws_budget){ WS_PIECES_BURST * 1000, now_ms };
	c->heard_ms = now_ms;
	c->asked_ms = now_ms - 1;
	c->ping_ms = now_ms + io->ping_ms;
	/* Not all in one second, after all have come back at once. */
	c->check_ms = now_ms + WS_CHECK_MS / 2 + (long long)((uintptr_t)c / 64 % (WS_CHECK_MS / 2));
	return c;
}

struct ws_client *ws_client_hold(struct ws_client *c)
{
	c->holders++;
	return c;
}

/* ---- the queue --------------------------------------------------------------------------------- */

static void first_drop(struct ws_client *c)
{
	struct ws_queued *q = c->first;

	c->first = q->next;
	if (!c->first)
		c->last = NULL;
	c->queued--;
	c->queued_bytes -= q->text->len;
	c->queued_events -= q->is_event;
	c->queued_events_bytes -= q->is_event ? q->text->len : 0;
	c->queued_pongs -= q->is_pong;
	c->written = 0;
	ws_text_drop(q->text);
	free(q);
}

/* All but what the client has a part of already. */
static void rest_drop(struct ws_client *c)
{
	struct ws_queued *half = NULL;
	size_t written = c->written;

	if (written > 0) {
		half = c->first;
		c->first = half->next;
		c->queued--;
	}
	while (c->first)
		first_drop(c);
	c->last = c->first = half;
	if (!half)
		return;
	half->next = NULL;
	c->written = written;
	c->queued = 1;
	c->queued_bytes = half->text->len;
	c->queued_events = half->is_event;
	c->queued_events_bytes = half->is_event ? half->text->len : 0;
	c->queued_pongs = half->is_pong;
}

void ws_client_drop(struct ws_client *c)
{
	if (--c->holders > 0)
		return;
	while (c->first)
		first_drop(c);
	ws_reader_free(c->reader);
	free(c);
}

static void make_dirty(struct ws_client *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->next_dirty = c->io->dirty;
	c->io->dirty = ws_client_hold(c);
}

/* Behind all others, whether it is being closed or not. false: out of memory. */
static bool append(struct ws_client *c, struct ws_text *text, bool is_event, bool is_pong)
{
	struct ws_queued *q = text ? malloc(sizeof(*q)) : NULL;

	if (!q) {
		if (text)
			ws_text_drop(text);
		return false;
	}
	c->queued++;
	c->queued_bytes += text->len;
	c->queued_events += is_event;
	c->queued_events_bytes += is_event ? text->len : 0;
	c->queued_pongs += is_pong;
	*q = (struct ws_queued){ .text = text, .is_event = is_event, .is_pong = is_pong };
	*(c->last ? &c->last->next : &c->first) = q;
	c->last = q;
	make_dirty(c);
	return true;
}

static bool is_open(const struct ws_client *c)
{
	return c->fd >= 0 && !c->close_code;
}

void ws_client_close(struct ws_client *c, int code, const char *reason)
{
	char payload[2 + REASON_MAX] = { (char)(code >> 8), (char)code };
	size_t len = strlen(reason);

	if (!is_open(c))
		return;
	assert(len <= REASON_MAX);
	memcpy(payload + 2, reason, len);
	rest_drop(c);
	c->close_code = code;
	c->kill_ms = clock_mono_ms() + WS_CLOSE_MS;
	/* Without memory for the frame the connection ends without it. */
	(void)append(c, ws_text_control(WS_CLOSE, payload, code == WS_CLOSE_NONE ? 0 : 2 + len),
	             false, false);
}

static void queue(struct ws_client *c, struct ws_text *text, bool is_event, bool is_pong)
{
	if (!is_open(c)) {
		if (text)
			ws_text_drop(text);
		return;
	}
	if (!append(c, text, is_event, is_pong))
		ws_client_close(c, WS_CLOSE_TRY_LATER, "out of memory");
}

void ws_client_send(struct ws_client *c, struct ws_text *t)
{
	queue(c, t, false, false);
}

static bool events_are_full(const struct ws_client *c)
{
	return c->queued_events > WS_QUEUE_MSGS_MAX || c->queued_events_bytes > WS_QUEUE_BYTES_MAX;
}

void ws_client_send_event(struct ws_client *c, struct ws_text *t)
{
	queue(c, t, true, false);
	/* Many may come in one round; what counts is what it does not take. A connection that breaks
	 * here will do so again. */
	if (is_open(c) && events_are_full(c))
		(void)ws_client_flush(c);
	if (events_are_full(c))
		ws_client_close(c, WS_CLOSE_TRY_LATER,
		                "too slow: come back with your last position");
}

void ws_client_keep_up(struct ws_client *c)
{
	if (is_open(c) && c->queued_bytes > WS_QUEUE_BYTES_MAX)
		(void)ws_client_flush(c);
	if (c->queued_bytes > WS_QUEUE_BYTES_MAX)
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

/* ---- writing ----------------------------------------------------------------------------------- */

static ssize_t write_some(struct ws_client *c)
{
	struct iovec parts[WRITES_MAX];
	struct msghdr msg = { .msg_iov = parts };
	struct ws_queued *q = c->first;

	for (; q && msg.msg_iovlen < WRITES_MAX; q = q->next)
		parts[msg.msg_iovlen++] = (struct iovec){ q->text->bytes, q->text->len };
	parts[0].iov_base = (char *)parts[0].iov_base + c->written;
	parts[0].iov_len -= c->written;
	return sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void wait_for_room(struct ws_client *c, bool wants_out)
{
	struct epoll_event event = { .events = EPOLLIN | (wants_out ? EPOLLOUT : 0),
		                     .data.ptr = c };

	if (c->wants_out == wants_out)
		return;
	c->wants_out = wants_out;
	(void)epoll_ctl(c->io->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

/* Its own end of the connection, where all has been said. */
static void shut(struct ws_client *c)
{
	if (!c->close_code || !c->is_deaf || c->is_shut)
		return;
	c->is_shut = true;
	(void)shutdown(c->fd, SHUT_WR);
}

int ws_client_flush(struct ws_client *c)
{
	while (c->first) {
		ssize_t n = write_some(c);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return -1;
		if (n < 0) {
			wait_for_room(c, true);
			return 0;
		}
		while (c->first && (size_t)n >= c->first->text->len - c->written) {
			n -= (ssize_t)(c->first->text->len - c->written);
			first_drop(c);
		}
		c->written += (size_t)n;
	}
	wait_for_room(c, false);
	shut(c);
	return 0;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static bool take(struct ws_budget *b, long long most, long long per_s, long long now_ms)
{
	b->left += (now_ms - b->as_of_ms) * per_s;
	b->as_of_ms = now_ms;
	if (b->left > most * 1000)
		b->left = most * 1000;
	b->left -= 1000;
	return b->left >= 0;
}

static bool on_frame(void *closure)
{
	struct ws_client *c = closure;

	return take(&c->pieces, WS_PIECES_BURST, WS_PIECES_PER_S, c->heard_ms);
}

static void on_text(void *closure, const char *text, size_t len)
{
	struct ws_client *c = closure;

	if (c->close_code)
		return;
	if (take(&c->messages, WS_BURST, WS_MESSAGES_PER_S, c->heard_ms))
		c->io->on_text(c->io, c, text, len);
	else
		ws_client_close(c, WS_CLOSE_POLICY, ws_reader_reason(WS_CLOSE_POLICY));
}

static void on_ping(void *closure, const void *data, size_t len)
{
	struct ws_client *c = closure;

	/* One that asks and asks and takes no answer: some may stay without (RFC 6455, 5.5.3). */
	if (c->queued_pongs < WS_PONGS_MAX)
		queue(c, ws_text_control(WS_PONG, data, len), false, true);
}

void ws_client_receive(struct ws_client *c, const char *data, size_t len, long long now_ms)
{
	static const struct ws_reader_calls calls = { on_frame, on_text, on_ping };
	int code;

	c->heard_ms = now_ms;
	if (c->is_deaf)
		return;
	code = ws_reader_feed(&c->reader, &c->io->spare, &calls, c, data, len);
	if (!code)
		return;
	c->is_deaf = true;
	/* What it asked before it is still answered, where that can be done at once. A connection
	 * that breaks here will do so again. */
	if (is_open(c))
		(void)ws_client_flush(c);
	ws_client_close(c, code, ws_reader_reason(code));
	make_dirty(c);
}

/* Asked in time, and so long ago that an answer would be here: a tick may come late. */
static bool is_dead(const struct ws_client *c, long long now_ms)
{
	const struct ws_io *io = c->io;

	return c->asked_ms >= c->heard_ms && now_ms - c->heard_ms > io->dead_ms &&
	       now_ms - c->asked_ms > io->dead_ms - io->ping_ms && now_ms >= io->judge_ms;
}

bool ws_client_tick(struct ws_client *c, long long now_ms)
{
	if (!c->close_code && now_ms >= c->ping_ms) {
		c->ping_ms = now_ms + c->io->ping_ms;
		if (c->asked_ms < c->heard_ms)
			c->asked_ms = now_ms;
		queue(c, ws_text_control(WS_PING, "", 0), false, false);
	}
	/* Without room in its socket's buffer not even a close frame can be written. */
	return (c->close_code && now_ms > c->kill_ms) || is_dead(c, now_ms);
}

void ws_client_cut(struct ws_client *c)
{
	if (c->fd >= 0)
		close(c->fd); /* epoll forgets it with that */
	c->fd = -1;
	while (c->first)
		first_drop(c);
}
