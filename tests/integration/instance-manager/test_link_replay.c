/*
 * What a real gateway sent (tests/fakes/samples/link-frames.jsonl), played to a link: whole, and with
 * each frame broken in turn. Run in the project's root. There is no database: what comes of the
 * frames is lost, and says so.
 */

#include "frames.h"
#include "link/conn.h"

#include "base/clock.h"

static const struct link_target target = {
	.id = "5f0c1d2e-3a4b-4c5d-8e6f-708192a3b4c5",
	.user_id = "5f0c1d2e-3a4b-4c5d-8e6f-708192a3b4c6",
	.address = "127.0.0.1",
	.port = 9,
	.gateway_token = "token",
};

static int setup(void **state)
{
	struct frames *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	frames_open(lab, target.id);
	*state = lab;
	return 0;
}

static int teardown(void **state)
{
	frames_close(*state);
	free(*state);
	return 0;
}

/* A link whose socket has just come up; its box has a desk of its own, which the caller stops. */
static struct conn *link_open(struct frames *lab, struct news_desk **ret_desk)
{
	struct conn *c;
	struct err e = ERR_INIT;

	assert_ok(news_desk_start(&lab->app, ret_desk, &e), &e);
	c = conn_new(lab->app.links, &target, *ret_desk);
	assert_non_null(c);
	c->state = CONN_OPENING;
	conn_opened(c);
	return c;
}

static void link_close(struct conn *c, struct news_desk *desk)
{
	long long before_ms = clock_mono_ms();

	conn_gone(c, "the test ends");
	assert_int_equal(c->state, CONN_WAITING);
	assert_true(c->due_ms > before_ms);
	conn_free(c);
	news_desk_stop(desk);
}

/* In pieces, as they may come. */
static int play(struct conn *c, const char *text, struct err *e)
{
	size_t len = strlen(text), half = len / 2;

	if (conn_received(c, text, half, false, e) < 0)
		return -1;
	return conn_received(c, text + half, len - half, true, e);
}

static void a_real_gateway_is_understood(void **state)
{
	struct frames *lab = *state;
	struct news_desk *desk;
	struct conn *c = link_open(lab, &desk);

	for (size_t i = 0; i < lab->count; i++) {
		struct err e = ERR_INIT;

		assert_ok(play(c, lab->list[i], &e), &e);
	}
	assert_int_equal(c->state, CONN_UP);
	assert_true(c->seq > 20);
	assert_string_equal(c->target.device_token, "sample-token");
	link_close(c, desk);
}

/* Plays all frames up to the broken one, which ends the link with a reason or is passed over. */
static void play_broken(struct frames *lab, size_t at, const char *broken, bool must_end)
{
	struct news_desk *desk;
	struct conn *c = link_open(lab, &desk);
	struct err e = ERR_INIT;

	for (size_t i = 0; i < at; i++)
		assert_ok(play(c, lab->list[i], &e), &e);
	if (play(c, broken, &e) < 0) {
		assert_int_equal(e.code, ERR_UPSTREAM);
		assert_true(strlen(e.msg) > 10);
	} else {
		assert_false(must_end);
	}
	link_close(c, desk);
}

static void each_frame_broken_ends_in_another_try(void **state)
{
	struct frames *lab = *state;

	for (size_t i = 0; i < lab->count; i++) {
		char *copy = strdup(lab->list[i]);
		size_t len = strlen(copy);
		char *payload = strstr(copy, "\"payload\"");

		assert_non_null(copy);
		play_broken(lab, i, "", true);
		play_broken(lab, i, "[1,2,3]", true);
		copy[len / 2] = '\0'; /* cut */
		play_broken(lab, i, copy, true);
		snprintf(copy, len + 1, "%s", lab->list[i]);
		if (payload) { /* what it tells is missing */
			payload[1] = 'q';
			play_broken(lab, i, copy, false);
		}
		free(copy);
	}
}

/* What a gateway may have sent in all since then. */
static long long allowed_since(long long from_ms)
{
	return LINK_FRAMES_BURST + (clock_mono_ms() - from_ms) * LINK_FRAMES_PER_S / 1000 + 1;
}

static void a_flood_is_cut(void **state)
{
	static const char tick[] = "{\"type\":\"event\",\"event\":\"tick\",\"payload\":{}}";
	struct frames *lab = *state;
	struct news_desk *desk;
	long long from_ms = clock_mono_ms();
	struct conn *c = link_open(lab, &desk);
	struct err e = ERR_INIT;
	long long taken = 0;
	bool is_cut = false;

	for (size_t i = 0; c->state != CONN_UP; i++)
		assert_ok(play(c, lab->list[i], &e), &e);
	while (!is_cut && taken <= allowed_since(from_ms)) {
		is_cut = play(c, tick, &e) < 0;
		taken += !is_cut;
	}
	assert_true(is_cut);
	assert_true(taken >= LINK_FRAMES_BURST / 2);
	link_close(c, desk);
}

/* However often a gateway leaves frames out, all is asked for once, soon. */
static void missing_frames_are_made_up_for_at_leisure(void **state)
{
	struct frames *lab = *state;
	struct news_desk *desk;
	struct conn *c = link_open(lab, &desk);
	struct err e = ERR_INIT;
	long long later_ms = clock_mono_ms() + LINK_RESYNC_MS / 2;

	for (size_t i = 0; c->state != CONN_UP; i++)
		assert_ok(play(c, lab->list[i], &e), &e);
	assert_true(c->resync_ms > later_ms);
	for (int i = 1; i < 100; i++) {
		char text[96];
		long long before_ms = c->resync_ms;

		snprintf(text, sizeof(text),
		         "{\"type\":\"event\",\"event\":\"tick\",\"payload\":{},\"seq\":%d}",
		         1000 * i);
		assert_ok(play(c, text, &e), &e);
		assert_true(c->resync_ms < clock_mono_ms() + LINK_AGAIN_MAX_MS);
		if (i > 1)
			assert_int_equal(c->resync_ms, before_ms);
	}
	link_close(c, desk);
}

static void more_than_a_frame_may_have_is_cut(void **state)
{
	struct frames *lab = *state;
	struct news_desk *desk;
	struct conn *c = link_open(lab, &desk);
	char piece[65536];
	struct err e = ERR_INIT;
	size_t sent = 0;

	memset(piece, ' ', sizeof(piece));
	while (conn_received(c, piece, sizeof(piece), false, &e) == 0)
		sent += sizeof(piece);
	assert_int_equal(sent, FRAME_MAX);
	assert_int_equal(e.code, ERR_UPSTREAM);
	link_close(c, desk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_gateway_is_understood),
		cmocka_unit_test(each_frame_broken_ends_in_another_try),
		cmocka_unit_test(a_flood_is_cut),
		cmocka_unit_test(missing_frames_are_made_up_for_at_leisure),
		cmocka_unit_test(more_than_a_frame_may_have_is_cut),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
