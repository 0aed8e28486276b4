/* Who listens to what, through everything that may be forgotten or lost: the questions are taken down
 * and answered here, and one client reads what it is sent. */

#include "ws_lab.h"

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

/* Where the questions are too many for whoever answers, fewer are asked at a time, and all get there. */
static void questions_that_come_too_late_are_asked_fewer_at_a_time(void **state)
{
	const unsigned topics = 40;
	unsigned answered = 0;

	(void)state;
	for (unsigned i = 0; i < topics; i++) {
		struct ws_frame f = { .verb = WS_SUBSCRIBE };

		snprintf(f.topic, sizeof(f.topic), "instance.00000000-0000-4000-8000-%012u", i);
		ws_topics_subscribe(lab.topics, lab.clients[0], &f, "");
		answer(take(WS_CALL_SUBSCRIBE), 0, 0, 10);
	}
	ws_topics_resume_all(lab.topics);
	assert_int_equal(lab.asked_count, topics);
	for (unsigned i = 0; i < topics; i++)
		refuse(take(WS_CALL_RESUME), ERR_TIMEOUT);
	tick();
	assert_in_range(lab.asked_count, 2, topics / 4);
	while (lab.asked_count > 0) {
		answer(take(WS_CALL_RESUME), 0, 0, 10);
		answered++;
		tick();
	}
	assert_int_equal(answered, topics);
	ws_topics_resume_all(lab.topics);
	assert_int_equal(lab.asked_count, topics);
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
		TEST(who_asks_again_meanwhile_is_answered),
		TEST(a_release_that_failed_ends_no_later_subscription),
		TEST(what_comes_for_nobody_is_given_up),
		TEST(questions_that_come_too_late_are_asked_fewer_at_a_time),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
