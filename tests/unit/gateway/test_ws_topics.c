/* Who listens to what, through everything that may be forgotten or lost: the questions are taken down
 * and answered here, and one client reads what it is sent. */

#include "base/clock.h"
#include "base/json.h"
#include "ws_call.h"
#include "ws_topics.h"

#include "test.h"

#include <sys/socket.h>

#define TOPIC     "instance.00000000-0000-4000-8000-000000000001"
#define STREAM    "0123abcd"
#define CALLS_MAX 8
#define LATER_MS  60000

static struct {
	struct ws_topics *topics;
	struct ws_io io;
	struct ws_client *clients[2];
	int peers[2];
	struct ws_call asked[CALLS_MAX]; /* and not answered */
	size_t asked_count;
	bool is_full;
} lab;

static bool ask(struct ws *w, const struct ws_call *what)
{
	(void)w;
	if (lab.is_full)
		return false;
	assert_in_range(lab.asked_count, 0, CALLS_MAX - 1);
	lab.asked[lab.asked_count++] = *what;
	return true;
}

static int begin(void **state)
{
	static const struct ws_person nobody;
	struct err e = ERR_INIT;

	(void)state;
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

static int end(void **state)
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

static void subscribe(int client, const char *since)
{
	struct ws_frame f = { .verb = WS_SUBSCRIBE, .topic = TOPIC };

	snprintf(f.since, sizeof(f.since), "%s", since);
	ws_topics_subscribe(lab.topics, lab.clients[client], &f, "");
}

static void event(unsigned seq)
{
	const struct ws_position at = { STREAM, seq };
	OWN(ws_text) struct ws_text *t = NULL;
	char text[80];

	snprintf(text, sizeof(text), "{\"event\":\"e\",\"position\":\"" STREAM ":%u\"}", seq);
	t = ws_text_new(text, strlen(text));
	ws_topics_event(lab.topics, TOPIC, &at, t);
}

/* The oldest question, which is of this kind; it is answered by what the rest of the test sets. */
static struct ws_call take(enum ws_call_kind kind)
{
	struct ws_call c;

	assert_true(lab.asked_count > 0);
	c = lab.asked[0];
	memmove(lab.asked, lab.asked + 1, --lab.asked_count * sizeof(c));
	assert_int_equal(c.kind, kind);
	return c;
}

/* events: of the sequence from to to, or none where from is 0. */
static void answer(struct ws_call c, unsigned from, unsigned to, unsigned position)
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

static void refuse(struct ws_call c, enum err_code code)
{
	err_set(&c.err, code, "no");
	ws_topics_answer(lab.topics, &c);
}

static void tick(void)
{
	ws_topics_tick(lab.topics, clock_mono_ms() + LATER_MS);
}

/* The next text frame of the peer's; false: none. */
static bool peer_frame(int peer, char *ret, size_t size)
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
static void listen_from(int client, unsigned position)
{
	subscribe(client, "");
	answer(take(WS_CALL_SUBSCRIBE), 0, 0, position);
	assert_string_equal(seen(client), "subscribed");
}

static void what_was_missed_is_asked_for_from_the_last(void **state)
{
	struct ws_call c;

	(void)state;
	listen_from(0, 10);
	event(11);
	ws_topics_resume_all(lab.topics);
	event(14);
	assert_string_equal(seen(0), "11");
	c = take(WS_CALL_RESUME);
	assert_string_equal(c.since, STREAM ":11");
	answer(c, 10, 13, 13); /* more than was asked for */
	event(15);
	assert_string_equal(seen(0), "12 13 14 15");
	assert_int_equal(lab.asked_count, 0);
}

/* Redis forgot the gateway and event 11 passed by; somebody's subscription registers the topic anew. */
static void nothing_overtakes_what_was_missed_while_forgotten(void **state)
{
	(void)state;
	listen_from(0, 10);
	ws_topics_deafen(lab.topics);
	subscribe(1, "");
	answer(take(WS_CALL_SUBSCRIBE), 0, 0, 11);
	tick();
	assert_int_equal(lab.asked_count, 0); /* it would be forgotten again */
	event(12);
	assert_string_equal(seen(0), "");
	assert_string_equal(seen(1), "subscribed");
	ws_topics_listen(lab.topics);
	event(13);
	assert_string_equal(seen(0), "");
	answer(take(WS_CALL_RESUME), 11, 12, 12);
	assert_string_equal(seen(0), "11 12 13");
	assert_string_equal(seen(1), "12 13");
}

static void a_subscription_under_way_resumes_after_its_answer(void **state)
{
	struct ws_call before, between, again;

	(void)state;
	subscribe(0, "");
	before = take(WS_CALL_SUBSCRIBE);
	ws_topics_deafen(lab.topics);
	subscribe(1, "");
	between = take(WS_CALL_SUBSCRIBE);
	ws_topics_listen(lab.topics);
	answer(before, 0, 0, 10);
	event(12);
	assert_string_equal(seen(0), "subscribed");
	tick();
	again = take(WS_CALL_RESUME);
	assert_string_equal(again.since, STREAM ":10");
	answer(between, 0, 0, 9);
	/* Asked for what came after 10, of which the second lacks one more. */
	answer(again, 11, 11, 11);
	assert_string_equal(seen(0), "11 12");
	assert_string_equal(seen(1), "subscribed");
	again = take(WS_CALL_RESUME);
	assert_string_equal(again.since, STREAM ":9");
	answer(again, 10, 12, 12);
	assert_string_equal(seen(1), "10 11 12");
	assert_string_equal(seen(0), "");
	event(13);
	assert_string_equal(seen(0), "13");
	assert_string_equal(seen(1), "13");
}

static void a_resumption_under_way_begins_anew(void **state)
{
	struct ws_call c;

	(void)state;
	listen_from(0, 10);
	ws_topics_resume_all(lab.topics);
	c = take(WS_CALL_RESUME);
	ws_topics_resume_all(lab.topics);
	answer(c, 11, 11, 11);
	event(13);
	assert_string_equal(seen(0), "");
	answer(take(WS_CALL_RESUME), 11, 12, 12);
	assert_string_equal(seen(0), "11 12 13");
}

static void a_resumption_that_fails_is_tried_again(void **state)
{
	(void)state;
	listen_from(0, 10);
	lab.is_full = true;
	ws_topics_resume_all(lab.topics);
	lab.is_full = false;
	tick();
	refuse(take(WS_CALL_RESUME), ERR_TIMEOUT);
	event(12);
	assert_int_equal(lab.asked_count, 0); /* not at once */
	tick();
	answer(take(WS_CALL_RESUME), 11, 11, 11);
	assert_string_equal(seen(0), "11 12");
}

/* Its events cannot be read: not taken for none. */
static void an_answer_that_makes_no_sense_is_none(void **state)
{
	struct ws_call c;

	(void)state;
	listen_from(0, 10);
	ws_topics_resume_all(lab.topics);
	c = take(WS_CALL_RESUME);
	c.reply = (struct rt_subscribed){ .position = STREAM ":12", .events = "[{" };
	ws_topics_answer(lab.topics, &c);
	assert_string_equal(seen(0), "");
	tick();
	answer(take(WS_CALL_RESUME), 11, 12, 12);
	assert_string_equal(seen(0), "11 12");
}

static void what_cannot_be_told_is_a_resync(void **state)
{
	struct ws_call c;

	(void)state;
	listen_from(0, 10);
	ws_topics_resume_all(lab.topics);
	c = take(WS_CALL_RESUME);
	c.reply =
		(struct rt_subscribed){ .position = STREAM ":500", .state = "{}", .resync = true };
	event(501);
	ws_topics_answer(lab.topics, &c);
	assert_string_equal(seen(0), "subscribed resync 501");
}

static void what_is_another_s_by_now_is_refused(void **state)
{
	(void)state;
	listen_from(0, 10);
	ws_topics_resume_all(lab.topics);
	refuse(take(WS_CALL_RESUME), ERR_NOT_FOUND);
	event(11);
	assert_string_equal(seen(0), "error");
}

static void who_asks_again_meanwhile_is_answered(void **state)
{
	struct ws_call c;

	(void)state;
	listen_from(0, 10);
	ws_topics_resume_all(lab.topics);
	c = take(WS_CALL_RESUME);
	event(12);
	subscribe(0, STREAM ":10");
	answer(c, 11, 11, 11);
	answer(take(WS_CALL_SUBSCRIBE), 11, 12, 12);
	event(13);
	assert_string_equal(seen(0), "subscribed 11 12 13");
}

/* It is done behind our back, or is not: nobody registers the topic until that is settled. */
static void a_release_that_failed_ends_no_later_subscription(void **state)
{
	(void)state;
	listen_from(0, 10);
	ws_topics_unsubscribe(lab.topics, lab.clients[0], TOPIC, "");
	tick();
	refuse(take(WS_CALL_RELEASE), ERR_TIMEOUT);
	subscribe(0, "");
	ws_topics_tick(lab.topics, clock_mono_ms());
	assert_int_equal(lab.asked_count, 0);
	tick();
	answer(take(WS_CALL_SUBSCRIBE), 0, 0, 20);
	event(21);
	assert_string_equal(seen(0), "unsubscribed subscribed 21");
}

static void what_comes_for_nobody_is_given_up(void **state)
{
	(void)state;
	event(10);
	tick();
	assert_string_equal(lab.asked[0].topic, TOPIC);
	answer(take(WS_CALL_RELEASE), 0, 0, 0);
	tick();
	assert_int_equal(lab.asked_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		TEST(what_was_missed_is_asked_for_from_the_last),
		TEST(nothing_overtakes_what_was_missed_while_forgotten),
		TEST(a_subscription_under_way_resumes_after_its_answer),
		TEST(a_resumption_under_way_begins_anew),
		TEST(a_resumption_that_fails_is_tried_again),
		TEST(an_answer_that_makes_no_sense_is_none),
		TEST(what_cannot_be_told_is_a_resync),
		TEST(what_is_another_s_by_now_is_refused),
		TEST(who_asks_again_meanwhile_is_answered),
		TEST(a_release_that_failed_ends_no_later_subscription),
		TEST(what_comes_for_nobody_is_given_up),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
