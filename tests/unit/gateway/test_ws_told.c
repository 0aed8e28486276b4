/* What clients are told of what they missed: in parts, not at all, and that it has ended. */

#include "ws_lab.h"

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
	for (int i = 0; i < 5; i++) {
		assert_string_equal(seen(0), "");
		tick();
		refuse(take(WS_CALL_RESUME), ERR_NOT_FOUND);
		assert_int_equal(lab.asked_count, 0); /* not at once */
	}
	event(11);
	assert_string_equal(seen(0), "error");
	assert_int_equal(lab.asked_count, 0);
}

/* The assistant is gone already, and the event that says so is not in the stream yet. */
static void an_end_that_is_on_its_way_is_waited_for(void **state)
{
	(void)state;
	listen_from(0, 10);
	ws_topics_resume_all(lab.topics);
	refuse(take(WS_CALL_RESUME), ERR_NOT_FOUND);
	tick();
	answer_over(take(WS_CALL_RESUME), 11, 12);
	assert_string_equal(seen(0), "11 12 unsubscribed");
	tick();
	answer(take(WS_CALL_RELEASE), 0, 0, 0);
	assert_int_equal(lab.asked_count, 0);
}

static void whoever_comes_back_learns_of_the_end(void **state)
{
	(void)state;
	subscribe(0, STREAM ":10");
	answer_over(take(WS_CALL_SUBSCRIBE), 11, 12);
	assert_string_equal(seen(0), "11 12 unsubscribed");
	subscribe(0, STREAM ":12"); /* and knows it already */
	answer_over(take(WS_CALL_SUBSCRIBE), 12, 12);
	assert_string_equal(seen(0), "unsubscribed");
}

/* Two that resume are not one: who asks decides whose answer it is. */
static void what_one_may_hear_is_not_told_to_the_other(void **state)
{
	struct ws_call c;

	(void)state;
	listen_from(0, 10);
	listen_from(1, 10);
	snprintf(lab.clients[1]->person.user_id, UUID_SIZE, "somebody else");
	ws_topics_resume_all(lab.topics);
	c = take(WS_CALL_RESUME);
	assert_int_equal(lab.asked_count, 0);
	answer(c, 11, 11, 11);
	assert_string_equal(c.ctx.user_id, "");
	assert_string_equal(seen(0), "11");
	assert_string_equal(seen(1), "");
	c = take(WS_CALL_RESUME);
	assert_string_equal(c.ctx.user_id, "somebody else");
	answer(c, 11, 11, 11);
	assert_string_equal(seen(0), "");
	assert_string_equal(seen(1), "11");
}

static void a_replay_in_parts_goes_on_where_each_ended(void **state)
{
	struct ws_call c;

	(void)state;
	listen_from(0, 10);
	ws_topics_resume_all(lab.topics);
	answer_part(take(WS_CALL_RESUME), 11, 12, 15);
	event(16);
	assert_string_equal(seen(0), "11 12");
	c = take(WS_CALL_RESUME);
	assert_string_equal(c.since, STREAM ":12");
	answer(c, 13, 15, 15);
	assert_string_equal(seen(0), "13 14 15 16");
	assert_int_equal(lab.asked_count, 0);
}

static void one_who_comes_back_is_told_in_parts(void **state)
{
	struct ws_call c;

	(void)state;
	subscribe(0, STREAM ":10");
	answer_part(take(WS_CALL_SUBSCRIBE), 11, 12, 15);
	event(16);
	assert_string_equal(seen(0), "subscribed 11 12");
	tick();
	c = take(WS_CALL_RESUME);
	assert_string_equal(c.since, STREAM ":12");
	answer(c, 13, 16, 16);
	event(17);
	assert_string_equal(seen(0), "13 14 15 16 17");
}

/* It takes nothing: what it missed does not pile up, part by part. */
static void one_that_takes_no_part_is_cut(void **state)
{
	OWN(mem) char *bytes = calloc(1, WS_QUEUE_BYTES_MAX);
	OWN(ws_text) struct ws_text *much = ws_text_new(bytes, WS_QUEUE_BYTES_MAX);

	(void)state;
	listen_from(0, 10);
	listen_from(1, 10);
	for (int i = 0; i < 2; i++)
		ws_client_send(lab.clients[0], ws_text_hold(much));
	ws_topics_resume_all(lab.topics);
	answer_part(take(WS_CALL_RESUME), 11, 12, 15);
	assert_int_equal(lab.clients[0]->close_code, WS_CLOSE_TRY_LATER);
	assert_int_equal(lab.clients[1]->close_code, 0);
	assert_string_equal(seen(1), "11 12");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		TEST(what_cannot_be_told_is_a_resync),
		TEST(what_is_another_s_by_now_is_refused),
		TEST(an_end_that_is_on_its_way_is_waited_for),
		TEST(whoever_comes_back_learns_of_the_end),
		TEST(what_one_may_hear_is_not_told_to_the_other),
		TEST(a_replay_in_parts_goes_on_where_each_ended),
		TEST(one_who_comes_back_is_told_in_parts),
		TEST(one_that_takes_no_part_is_cut),
		TEST(an_answer_that_makes_no_sense_is_none),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
