/* A socket's queue and a subscription's order, with a libwebsockets that only writes down. */

#include "ws_sub.h"

#include "test.h"

static struct {
	char written[8192];
	bool is_choked, is_first, is_last, is_binary, was_killed;
	size_t left;
	int close_code;
} wire;

static struct lws *const socket_of_test = (struct lws *)&wire;

int lws_callback_on_writable(struct lws *wsi)
{
	(void)wsi;
	return 0;
}

int lws_write(struct lws *wsi, unsigned char *buf, size_t len, enum lws_write_protocol protocol)
{
	size_t at = strlen(wire.written);

	(void)wsi;
	if (protocol == LWS_WRITE_PING)
		snprintf(wire.written + at, sizeof(wire.written) - at, "ping ");
	else if (at + len + 2 < sizeof(wire.written))
		snprintf(wire.written + at, sizeof(wire.written) - at, "%.*s ", (int)len, buf);
	return (int)len;
}

int lws_send_pipe_choked(struct lws *wsi)
{
	(void)wsi;
	return wire.is_choked;
}

void lws_close_reason(struct lws *wsi, enum lws_close_status status, unsigned char *buf, size_t len)
{
	(void)wsi;
	(void)buf;
	assert_in_range(len, 1, 123);
	wire.close_code = (int)status;
}

void lws_set_timeout(struct lws *wsi, enum pending_timeout reason, int secs)
{
	(void)wsi;
	(void)reason;
	(void)secs;
	wire.was_killed = true;
}

int lws_is_first_fragment(struct lws *wsi)
{
	(void)wsi;
	return wire.is_first;
}

int lws_is_final_fragment(struct lws *wsi)
{
	(void)wsi;
	return wire.is_last;
}

int lws_frame_is_binary(struct lws *wsi)
{
	(void)wsi;
	return wire.is_binary;
}

size_t lws_remaining_packet_payload(struct lws *wsi)
{
	(void)wsi;
	return wire.left;
}

OWN_DEFINE(client, struct ws_client *, ws_client_drop)

static struct ws_client *make(void)
{
	static const struct ws_person nobody;
	struct ws_client *c = ws_client_new(&nobody, 0);

	memset(&wire, 0, sizeof(wire));
	assert_non_null(c);
	c->wsi = socket_of_test;
	return c;
}

static struct ws_text *text(const char *s)
{
	return ws_text_new(s, strlen(s));
}

static void event(struct ws_sub *s, unsigned long long seq)
{
	const struct ws_position at = { "0123abcd", seq };
	OWN(ws_text) struct ws_text *t = NULL;
	char name[24];

	snprintf(name, sizeof(name), "%llu", seq);
	t = text(name);
	ws_sub_event(s, &at, t);
}

/* Everything that waits is written; returns it. */
static const char *flush(struct ws_client *c)
{
	wire.written[0] = '\0';
	while (c->first)
		assert_int_equal(ws_client_on_writable(c), 0);
	return wire.written;
}

static void frames_leave_in_order(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	for (int i = 0; i < 30; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%d", i % 10);
		ws_client_send(c, text(name));
	}
	assert_string_equal(flush(c),
	                    "0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 ");
	assert_int_equal(c->queued, 0);
	assert_int_equal(c->queued_bytes, 0);
}

static void one_that_takes_nothing_is_told_and_cut(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	wire.is_choked = true;
	for (int i = 0; i < WS_QUEUE_MSGS_MAX; i++)
		ws_client_send_event(c, text("x"));
	assert_int_equal(c->close_code, 0);
	ws_client_send_event(c, text("x"));
	assert_int_equal(c->close_code, WS_CLOSE_TRY_LATER);
	assert_int_equal(c->queued, 0);
	assert_int_equal(ws_client_on_writable(c), -1);
	assert_int_equal(wire.close_code, WS_CLOSE_TRY_LATER);
	ws_client_tick(c, c->kill_ms + 1);
	assert_true(wire.was_killed);
}

static void bytes_count_as_well(void **state)
{
	static char big[100 * 1024];
	OWN(client) struct ws_client *c = make();

	(void)state;
	memset(big, 'a', sizeof(big));
	for (int i = 0; i < 2; i++)
		ws_client_send_event(c, ws_text_new(big, sizeof(big)));
	assert_int_equal(c->close_code, 0);
	/* What it asked for is not held against it. */
	ws_client_send(c, ws_text_new(big, sizeof(big)));
	assert_int_equal(c->close_code, 0);
	ws_client_send_event(c, ws_text_new(big, sizeof(big)));
	assert_int_equal(c->close_code, WS_CLOSE_TRY_LATER);
}

static void no_event_comes_twice_or_late(void **state)
{
	OWN(client) struct ws_client *c = make();
	struct ws_sub s = { .client = c, .state = SUB_CALLING };
	const struct ws_position at = { "0123abcd", 10 };

	(void)state;
	event(&s, 9);
	event(&s, 11);
	event(&s, 12);
	event(&s, 11);
	assert_string_equal(flush(c), "");
	ws_client_send(c, text("subscribed"));
	ws_sub_go_live(&s, &at);
	event(&s, 12);
	event(&s, 13);
	event(&s, 10);
	assert_string_equal(flush(c), "subscribed 11 12 13 ");
	assert_int_equal(s.held, 0);
}

static void what_was_missed_comes_before_what_was_held(void **state)
{
	OWN(client) struct ws_client *c = make();
	struct ws_sub s = { .client = c, .state = SUB_LIVE, .last = { "0123abcd", 5 } };
	const struct ws_position seven = { "0123abcd", 7 };

	(void)state;
	s.state = SUB_RESUMING;
	event(&s, 8);
	for (unsigned long long i = 4; i <= 7; i++) {
		const struct ws_position p = { "0123abcd", i };
		OWN(ws_text) struct ws_text *t = text(i == 6 ? "six" : i == 7 ? "seven" : "again");

		ws_sub_replay(&s, &p, t);
	}
	ws_sub_go_live(&s, &seven);
	event(&s, 9);
	assert_string_equal(flush(c), "six seven 8 9 ");
}

static void a_stream_that_was_made_anew_begins_at_its_first(void **state)
{
	OWN(client) struct ws_client *c = make();
	struct ws_sub s = { .client = c, .state = SUB_LIVE, .last = { "ffffffff", 500 } };

	(void)state;
	event(&s, 1);
	event(&s, 1);
	event(&s, 2);
	assert_string_equal(flush(c), "1 2 ");
}

static void what_is_held_has_a_limit(void **state)
{
	OWN(client) struct ws_client *c = make();
	struct ws_sub s = { .client = c, .state = SUB_CALLING };

	(void)state;
	for (unsigned long long i = 1; i <= WS_QUEUE_MSGS_MAX; i++)
		event(&s, i);
	assert_int_equal(c->close_code, 0);
	event(&s, 1000);
	assert_int_equal(c->close_code, WS_CLOSE_TRY_LATER);
	ws_sub_clear(&s);
}

/* Returns the message that it made whole, or NULL. */
static const char *receive(struct ws_client *c, const char *data, bool is_first, bool is_last)
{
	const char *got = NULL;
	size_t len = 0;

	wire.is_first = is_first;
	wire.is_last = is_last;
	ws_client_on_data(c, data, strlen(data), 0, &got, &len);
	if (got)
		assert_true(len <= WS_FRAME_MAX);
	return got;
}

static void pieces_become_one_message(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	assert_string_equal(receive(c, "whole", true, true), "whole");
	assert_null(receive(c, "a", true, false));
	assert_null(receive(c, "b", false, false));
	assert_memory_equal(receive(c, "c", false, true), "abc", 3);
	assert_string_equal(receive(c, "next", true, true), "next");
}

static void a_message_has_an_end(void **state)
{
	static char half[WS_FRAME_MAX / 2 + 2];
	OWN(client) struct ws_client *c = make();

	(void)state;
	memset(half, 'a', sizeof(half) - 1);
	assert_null(receive(c, half, true, false));
	assert_int_equal(c->close_code, 0);
	assert_null(receive(c, half, false, true));
	assert_int_equal(c->close_code, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE);
}

static void a_length_that_is_announced_counts(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	wire.left = 1000000;
	assert_null(receive(c, "a", true, false));
	assert_int_equal(c->close_code, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE);
}

static void bytes_are_not_understood(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	wire.is_binary = true;
	assert_null(receive(c, "a", true, true));
	assert_int_equal(c->close_code, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE);
}

static void a_flood_ends_the_socket(void **state)
{
	OWN(client) struct ws_client *c = make();
	const char *got = NULL;
	size_t len = 0;

	(void)state;
	for (int i = 0; i < WS_BURST; i++)
		assert_non_null(receive(c, "x", true, true));
	ws_client_on_data(c, "x", 1, 1000, &got, &len);
	assert_non_null(got);
	for (int i = 1; i < WS_FRAMES_PER_S; i++)
		ws_client_on_data(c, "x", 1, 1000, &got, &len);
	assert_int_equal(c->close_code, 0);
	ws_client_on_data(c, "x", 1, 1000, &got, &len);
	assert_null(got);
	assert_int_equal(c->close_code, LWS_CLOSE_STATUS_POLICY_VIOLATION);
}

static void one_that_is_silent_is_asked_and_then_cut(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	ws_client_tick(c, WS_PING_MS - 1);
	assert_int_equal(ws_client_on_writable(c), 0);
	assert_string_equal(wire.written, "");
	ws_client_tick(c, WS_PING_MS);
	assert_int_equal(ws_client_on_writable(c), 0);
	assert_string_equal(wire.written, "ping ");
	ws_client_tick(c, WS_DEAD_MS);
	assert_false(wire.was_killed);
	ws_client_tick(c, WS_DEAD_MS + 1);
	assert_true(wire.was_killed);
}

static void the_first_reason_stays(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	ws_client_close(c, 4401, "first");
	ws_client_close(c, 1001, "second");
	ws_client_send(c, text("more"));
	assert_int_equal(c->queued, 0);
	assert_int_equal(ws_client_on_writable(c), -1);
	assert_int_equal(wire.close_code, 4401);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_leave_in_order),
		cmocka_unit_test(one_that_takes_nothing_is_told_and_cut),
		cmocka_unit_test(bytes_count_as_well),
		cmocka_unit_test(no_event_comes_twice_or_late),
		cmocka_unit_test(what_was_missed_comes_before_what_was_held),
		cmocka_unit_test(a_stream_that_was_made_anew_begins_at_its_first),
		cmocka_unit_test(what_is_held_has_a_limit),
		cmocka_unit_test(pieces_become_one_message),
		cmocka_unit_test(a_message_has_an_end),
		cmocka_unit_test(a_length_that_is_announced_counts),
		cmocka_unit_test(bytes_are_not_understood),
		cmocka_unit_test(a_flood_ends_the_socket),
		cmocka_unit_test(one_that_is_silent_is_asked_and_then_cut),
		cmocka_unit_test(the_first_reason_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
