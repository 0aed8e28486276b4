#ifndef WS_LAB_H
#define WS_LAB_H

/* ws_topics.c between two clients that are read here and a realtime-fanout that is the test: what it is
 * asked is taken down, and answered when the test wants. */

#include "base/clock.h"
#include "base/json.h"
#include "ws_call.h"
#include "ws_topics.h"

#include "test.h"

#include <sys/socket.h>

#define TOPIC     "instance.00000000-0000-4000-8000-000000000001"
#define STREAM    "0123abcd"
#define CALLS_MAX 64
#define LATER_MS  600000 /* when all is due that waits for a time, however patiently */

static struct {
	struct ws_topics *topics;
	struct ws_io io;
	struct ws_client *clients[2];
	int peers[2];
	struct ws_call asked[CALLS_MAX]; /* and not answered */
	size_t asked_count;
	bool is_full;
} lab;

static inline bool ask(struct ws *w, const struct ws_call *what)
{
	(void)w;
	if (lab.is_full)
		return false;
	assert_in_range(lab.asked_count, 0, CALLS_MAX - 1);
	lab.asked[lab.asked_count++] = *what;
	return true;
}

static inline int begin(void **state)
{
	static const struct ws_person nobody;
	struct err e = ERR_INIT;

	(void)state;
	be_patient(PATIENCE);
	memset(&lab, 0, sizeof(lab));
	lab.io = (struct ws_io){ .epoll_fd = -1, .ping_ms = 25000, .dead_ms = 40000 };
	if (ws_topics_new(NULL, ask, &lab.topics, &e) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		int fds[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
			return -1;
		lab.peers[i] = fds[1];
		lab.clients[i] = ws_client_new(&lab.io, fds[0], &nobody, 0);
	}
	return 0;
}

static inline int end(void **state)
{
	struct ws_client *dirty;

	(void)state;
	while ((dirty = lab.io.dirty)) {
		lab.io.dirty = dirty->next_dirty;
		ws_client_drop(dirty);
	}
	for (int i = 0; i < 2; i++) {
		ws_topics_leave(lab.topics, lab.clients[i]);
		ws_client_cut(lab.clients[i]);
		ws_client_drop(lab.clients[i]);
		close(lab.peers[i]);
	}
	ws_topics_free(lab.topics);
	return 0;
}

static inline void subscribe(int client, const char *since)
{
	struct ws_frame f = { .verb = WS_SUBSCRIBE, .topic = TOPIC };

	snprintf(f.since, sizeof(f.since), "%s", since);
	ws_topics_subscribe(lab.topics, lab.clients[client], &f, "");
}

static inline void event(unsigned seq)
{
	const struct ws_position at = { STREAM, seq };
	OWN(ws_text) struct ws_text *t = NULL;
	char text[80];

	snprintf(text, sizeof(text), "{\"event\":\"e\",\"position\":\"" STREAM ":%u\"}", seq);
	t = ws_text_new(text, strlen(text));
	ws_topics_event(lab.topics, TOPIC, &at, t);
}

/* The oldest question, which is of this kind; it is answered by what the rest of the test sets. */
static inline struct ws_call take(enum ws_call_kind kind)
{
	struct ws_call c;

	assert_true(lab.asked_count > 0);
	c = lab.asked[0];
	memmove(lab.asked, lab.asked + 1, --lab.asked_count * sizeof(c));
	assert_int_equal(c.kind, kind);
	return c;
}

/* events: of the sequence from to to, or none where from is 0. */
static inline void answer(struct ws_call c, unsigned from, unsigned to, unsigned position)
{
	char at[24], events[600] = "[";

	snprintf(at, sizeof(at), STREAM ":%u", position);
	for (unsigned n = from; from && n <= to; n++) {
		size_t len = strlen(events);

		snprintf(events + len, sizeof(events) - len,
		         "%s{\"event\":\"e\",\"position\":\"" STREAM ":%u\"}", n > from ? "," : "",
		         n);
	}
	c.reply.position = at;
	c.reply.state = "{}";
	if (c.since[0]) {
		snprintf(events + strlen(events), sizeof(events) - strlen(events), "]");
		c.reply.events = events;
	}
	ws_topics_answer(lab.topics, &c);
}

/* The first of the events that were missed, up to there. */
static inline void answer_part(struct ws_call c, unsigned from, unsigned to, unsigned position)
{
	char upto[24];

	snprintf(upto, sizeof(upto), STREAM ":%u", to);
	c.reply.upto = upto;
	answer(c, from, to, position);
}

/* The events that were missed end with the assistant's. */
static inline void answer_over(struct ws_call c, unsigned from, unsigned to)
{
	c.reply.over = c.reply.has_over = true;
	answer(c, from, to, to);
}

static inline void refuse(struct ws_call c, enum err_code code)
{
	err_set(&c.err, code, "no");
	ws_topics_answer(lab.topics, &c);
}

static inline void tick(void)
{
	ws_topics_tick(lab.topics, clock_mono_ms() + LATER_MS);
}

/* The next text frame of the peer's; false: none. */
static inline bool peer_frame(int peer, char *ret, size_t size)
{
	unsigned char head[2], more[2];
	size_t len;

	if (recv(peer, head, 2, MSG_DONTWAIT) != 2)
		return false;
	len = head[1];
	if (len == 126) {
		assert_int_equal(recv(peer, more, 2, MSG_DONTWAIT), 2);
		len = (size_t)more[0] << 8 | more[1];
	}
	assert_true(len < size);
	assert_int_equal(recv(peer, ret, len, MSG_DONTWAIT), len);
	ret[len] = '\0';
	return head[0] == 0x81;
}

/* What the client was sent since the last time: an event's number, any other frame's name. */
static const char *seen(int client)
{
	static char all[600];
	char text[600];

	all[0] = '\0';
	assert_int_equal(ws_client_flush(lab.clients[client]), 0);
	while (peer_frame(lab.peers[client], text, sizeof(text))) {
		OWN(json) cJSON *doc = NULL;
		struct err e = ERR_INIT;
		const char *name, *position;

		assert_int_equal(json_parse(text, strlen(text), &doc, &e), 0);
		name = json_text(doc, "event");
		position = json_text(doc, "position");
		if (strcmp(name, "e") == 0)
			name = strchr(position, ':') + 1;
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", all[0] ? " " : "",
		         name);
	}
	return all;
}

/* Live as of position. */
static inline void listen_from(int client, unsigned position)
{
	subscribe(client, "");
	answer(take(WS_CALL_SUBSCRIBE), 0, 0, position);
	assert_string_equal(seen(client), "subscribed");
}

#endif
