/* A socket's queue and a subscription's order, on one end of a real socket. */

#include "base/clock.h"
#include "ws_client_lab.h"
#include "ws_sub.h"

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

/* Everything that waits is written; returns the texts of it, each with a space behind. */
static const char *flush(struct ws_client *c)
{
	static char all[8192];
	char payload[1024];

	all[0] = '\0';
	do {
		assert_int_equal(ws_client_flush(c), 0);
		while (peer_frame(payload, sizeof(payload)) == 1) {
			size_t at = strlen(all);

			snprintf(all + at, sizeof(all) - at, "%s ", payload);
		}
	} while (c->first);
	return all;
}

/* The code of the close frame, which is next. */
static int close_code(struct ws_client *c)
{
	char payload[1024];

	assert_int_equal(ws_client_flush(c), 0);
	assert_int_equal(peer_frame(payload, sizeof(payload)), WS_CLOSE);
	return (unsigned char)payload[0] << 8 | (unsigned char)payload[1];
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

static void unstuff(void)
{
	while (peer_byte() >= 0)
		continue;
}

static void one_that_takes_nothing_is_told_and_cut(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	while (send(c->fd, "stuffed", 7, MSG_DONTWAIT) > 0)
		continue; /* its socket takes nothing more */
	for (int i = 0; i < WS_QUEUE_MSGS_MAX; i++)
		ws_client_send_event(c, text("x"));
	assert_int_equal(c->close_code, 0);
	ws_client_send_event(c, text("x"));
	assert_int_equal(c->close_code, WS_CLOSE_TRY_LATER);
	assert_int_equal(c->queued, 1);
	unstuff();
	assert_int_equal(close_code(c), WS_CLOSE_TRY_LATER);
	c->heard_ms = c->kill_ms;
	assert_false(ws_client_tick(c, c->kill_ms));
	assert_true(ws_client_tick(c, c->kill_ms + 1));
}

/* However many events one round of the loop brings. */
static void one_that_takes_all_is_not_cut(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	for (int i = 0; i < 4 * WS_QUEUE_MSGS_MAX; i++) {
		ws_client_send_event(c, text("x"));
		if (i % WS_QUEUE_MSGS_MAX == 0)
			unstuff();
	}
	assert_int_equal(c->close_code, 0);
}

static void a_frame_that_is_half_out_is_finished_before_the_close(void **state)
{
	static char big[60000];
	OWN(client) struct ws_client *c = make();
	size_t total = 0, end = sizeof(big) + 4;
	char last[4] = "", bytes[8192];
	ssize_t n;

	(void)state;
	memset(big, 'a', sizeof(big));
	ws_client_send(c, ws_text_new(big, sizeof(big)));
	ws_client_send(c, text("never"));
	assert_int_equal(ws_client_flush(c), 0);
	assert_in_range(c->written, 1, sizeof(big));
	ws_client_close(c, 4401, "");
	assert_int_equal(c->queued, 2);
	while (ws_client_flush(c) == 0 &&
	       (n = recv(lab.peer, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < n; i++, total++)
			if (total >= end)
				last[total - end] = bytes[i];
	}
	assert_int_equal(total, end + 4);
	assert_memory_equal(last, "\x88\x02\x11\x31", 4);
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
	ws_sub_has(&s, &at);
	ws_sub_go_live(&s);
	event(&s, 12);
	event(&s, 13);
	event(&s, 10);
	assert_string_equal(flush(c), "subscribed 11 12 13 ");
	assert_int_equal(s.held, 0);
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

static void nothing_is_kept_between_messages(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	receive(c, 0x81, "whole", 5, LONG_AGO);
	assert_string_equal(lab.got, "whole");
	assert_null(c->reader);
	assert_non_null(lab.io.spare);

	receive(c, 0x01, "a", 1, LONG_AGO);
	assert_non_null(c->reader);
	receive(c, 0x89, "p", 1, LONG_AGO);
	receive(c, 0x00, "b", 1, LONG_AGO);
	assert_non_null(c->reader);
	receive(c, 0x80, "c", 1, LONG_AGO);
	assert_string_equal(lab.got, "abc");
	assert_null(c->reader);

	ws_client_receive(c, "\x81", 1, LONG_AGO);
	assert_non_null(c->reader);
	ws_client_receive(c, "\x82\0\0\0\0h", 6, LONG_AGO);
	assert_string_equal(lab.got, "abc");
	ws_client_receive(c, "i", 1, LONG_AGO);
	assert_string_equal(lab.got, "hi");
	assert_null(c->reader);
	assert_int_equal(c->close_code, 0);
}

static void every_length_is_put_together(void **state)
{
	static char message[WS_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (char)('a' + i % 26);
	for (size_t size = 1; size <= 512; size += size < 250 || size > 260 ? 17 : 1) {
		OWN(client) struct ws_client *c = make();

		for (size_t at = 0; at < sizeof(message); at += size) {
			bool is_last = at + size >= sizeof(message);
			size_t n = is_last ? sizeof(message) - at : size;

			receive(c, (at == 0 ? 1 : 0) | (is_last ? 0x80 : 0), message + at, n,
			        LONG_AGO);
		}
		assert_int_equal(lab.messages, 1);
		assert_int_equal(lab.got_len, sizeof(message));
		assert_memory_equal(lab.got, message, sizeof(message));
		assert_null(c->reader);
	}
}

static void what_is_wrong_is_closed_with_its_code(void **state)
{
	static char big[WS_FRAME_MAX + 1];
	const struct {
		const char *what, *payload;
		size_t len;
		unsigned first;
		int code;
	} cases[] = {
		{ "bytes", "a", 1, 0x82, 1003 },
		{ "no UTF-8", "\xff", 1, 0x81, 1007 },
		{ "too long", big, sizeof(big), 0x81, 1009 },
		{ "RSV", "a", 1, 0xc1, 1002 },
		{ "opcode", "a", 1, 0x83, 1002 },
		{ "continuation", "a", 1, 0x80, 1002 },
		{ "ping in pieces", "a", 1, 0x09, 1002 },
		{ "half a code", "a", 1, 0x88, 1002 },
		{ "bad code", "\x03\xed", 2, 0x88, 1002 },
		{ "its own", "\x03\xe9", 2, 0x88, 1001 },
	};

	(void)state;
	memset(big, 'a', sizeof(big));
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(client) struct ws_client *c = make();

		print_message("  %s\n", cases[i].what);
		receive(c, cases[i].first, cases[i].payload, cases[i].len, LONG_AGO);
		assert_int_equal(c->close_code, cases[i].code);
		assert_int_equal(close_code(c), cases[i].code);
		assert_true(c->is_deaf && c->is_shut);
		assert_int_equal(lab.messages, 0);
		receive(c, 0x81, "more", 4, LONG_AGO);
		assert_int_equal(lab.messages, 0);
	}
}

static void a_ping_is_answered_and_a_flood_of_them_bounded(void **state)
{
	OWN(client) struct ws_client *c = make();
	char payload[128];

	(void)state;
	receive(c, 0x89, "are you there", 13, LONG_AGO);
	assert_int_equal(ws_client_flush(c), 0);
	assert_int_equal(peer_frame(payload, sizeof(payload)), WS_PONG);
	assert_string_equal(payload, "are you there");
	for (int i = 0; i < 2 * WS_PONGS_MAX; i++)
		receive(c, 0x89, "", 0, LONG_AGO);
	assert_int_equal(c->queued, WS_PONGS_MAX);
	for (int i = 0; i < WS_PIECES_BURST; i++)
		receive(c, 0x89, "", 0, LONG_AGO);
	assert_int_equal(c->close_code, WS_CLOSE_POLICY);
}

static void a_flood_ends_the_socket(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	for (int i = 0; i < WS_BURST; i++)
		receive(c, 0x81, "x", 1, LONG_AGO);
	for (int i = 0; i < WS_MESSAGES_PER_S; i++)
		receive(c, 0x81, "x", 1, 1000);
	assert_int_equal(c->close_code, 0);
	assert_int_equal(lab.messages, WS_BURST + WS_MESSAGES_PER_S);
	receive(c, 0x81, "x", 1, 1000);
	assert_int_equal(lab.messages, WS_BURST + WS_MESSAGES_PER_S);
	assert_int_equal(c->close_code, WS_CLOSE_POLICY);
}

static void the_first_reason_stays(void **state)
{
	OWN(client) struct ws_client *c = make();

	(void)state;
	ws_client_close(c, 4401, "first");
	ws_client_close(c, 1001, "second");
	ws_client_send(c, text("more"));
	assert_int_equal(c->queued, 1);
	assert_int_equal(close_code(c), 4401);
	/* Its answer ends it. */
	assert_false(c->is_shut);
	receive(c, 0x88, "\x11\x31", 2, LONG_AGO);
	assert_int_equal(ws_client_flush(c), 0);
	assert_true(c->is_shut);
	assert_int_equal(peer_byte(), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_leave_in_order),
		cmocka_unit_test(one_that_takes_nothing_is_told_and_cut),
		cmocka_unit_test(one_that_takes_all_is_not_cut),
		cmocka_unit_test(bytes_count_as_well),
		cmocka_unit_test(no_event_comes_twice_or_late),
		cmocka_unit_test(a_stream_that_was_made_anew_begins_at_its_first),
		cmocka_unit_test(what_is_held_has_a_limit),
		cmocka_unit_test(a_frame_that_is_half_out_is_finished_before_the_close),
		cmocka_unit_test(nothing_is_kept_between_messages),
		cmocka_unit_test(every_length_is_put_together),
		cmocka_unit_test(what_is_wrong_is_closed_with_its_code),
		cmocka_unit_test(a_ping_is_answered_and_a_flood_of_them_bounded),
		cmocka_unit_test(a_flood_ends_the_socket),
		cmocka_unit_test(the_first_reason_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
