/* How a client is found that is not there any more. */

#include "ws_client_lab.h"

static void one_that_is_silent_is_asked_and_then_cut(void **state)
{
	OWN(client) struct ws_client *c = make();
	char payload[128];

	(void)state;
	assert_false(ws_client_tick(c, lab.io.ping_ms - 1));
	assert_int_equal(c->queued, 0);
	assert_false(ws_client_tick(c, lab.io.ping_ms));
	assert_int_equal(ws_client_flush(c), 0);
	assert_int_equal(peer_frame(payload, sizeof(payload)), WS_PING);
	assert_false(ws_client_tick(c, lab.io.dead_ms));
	assert_true(ws_client_tick(c, lab.io.dead_ms + 1));
	receive(c, 0x8a, "", 0, lab.io.dead_ms);
	assert_false(ws_client_tick(c, lab.io.dead_ms + 1));
}

/* We who ask may be late ourselves. */
static void nobody_is_dead_who_was_not_asked_in_time(void **state)
{
	OWN(client) struct ws_client *c = make();
	const long long late_ms = LONG_AGO + 10 * lab.io.dead_ms;
	const long long answer_ms = lab.io.dead_ms - lab.io.ping_ms;

	(void)state;
	assert_false(ws_client_tick(c, late_ms));
	assert_int_equal(ws_client_flush(c), 0);
	assert_int_equal(peer_frame((char[128]){ 0 }, 128), WS_PING);
	assert_false(ws_client_tick(c, late_ms + answer_ms));
	lab.io.judge_ms = late_ms + 2 * answer_ms;
	assert_false(ws_client_tick(c, lab.io.judge_ms - 1));
	assert_true(ws_client_tick(c, lab.io.judge_ms));
	receive(c, 0x8a, "", 0, lab.io.judge_ms);
	assert_false(ws_client_tick(c, lab.io.judge_ms));
}

/* Asked for life all the time, and heard between: it counts from the first that is not answered. */
static void the_first_ping_that_is_not_answered_counts(void **state)
{
	OWN(client) struct ws_client *c = make();
	const long long heard_ms = LONG_AGO + 10000;

	(void)state;
	receive(c, 0x8a, "", 0, heard_ms);
	assert_false(ws_client_tick(c, LONG_AGO + lab.io.ping_ms));
	assert_false(ws_client_tick(c, heard_ms + lab.io.dead_ms)); /* asked twice by now */
	assert_true(ws_client_tick(c, heard_ms + lab.io.dead_ms + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_silent_is_asked_and_then_cut),
		cmocka_unit_test(nobody_is_dead_who_was_not_asked_in_time),
		cmocka_unit_test(the_first_ping_that_is_not_answered_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
