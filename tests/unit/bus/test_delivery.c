/* Many events in one message to a gateway. */

#include "test.h"

#include "bus/delivery.h"

#define ID "3f2b8c1e-9a4d-4e57-8b0c-6d1e2f3a4b5c"

static struct delivery make(const char *position, const char *topic, bool is_over,
                            const char *frame)
{
	struct delivery d = { .is_over = is_over, .frame = frame, .frame_len = strlen(frame) };

	snprintf(d.position, sizeof(d.position), "%s", position);
	snprintf(d.topic, sizeof(d.topic), "%s", topic);
	return d;
}

static void what_is_written_is_read_in_order(void **state)
{
	static char longest[DELIVERY_WORD_SIZE], text[2048];
	const char *at = text, *end = text;
	struct err e = ERR_INIT;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	const struct delivery all[] = {
		make("0123abcd:1", "instance." ID, false, "{\"a\":1}"),
		make("0123abcd:2", "sessions." ID, true, "{}"),
		make("0123abcd:999999999999999999", "instance." ID, false, "{\"over\":\" over\"}"),
		make(longest, longest, true, "{}"),
	};

	for (size_t i = 0; i < COUNT(all); i++) {
		size_t len = delivery_write(&all[i], text + (end - text));

		assert_true(len <= delivery_size(&all[i]));
		end += len;
	}
	for (size_t i = 0; i < COUNT(all); i++) {
		struct delivery d;

		assert_ok(delivery_read(&at, end, &d, &e), &e);
		assert_string_equal(d.position, all[i].position);
		assert_string_equal(d.topic, all[i].topic);
		assert_int_equal(d.is_over, all[i].is_over);
		assert_int_equal(d.frame_len, all[i].frame_len);
		assert_memory_equal(d.frame, all[i].frame, d.frame_len);
	}
	assert_ptr_equal(at, end);
}

static void what_is_none_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"\n\n",
		"p t",
		"p t\n",
		"p t\n{}",
		"p t\n\n",
		" t\n{}\n",
		"p \n{}\n",
		"p\n{}\n",
		"pt over\n{}",
		"p over\n{}",
		" over\n{}\n",
		"p t x\n{}\n",
		"p t over \n{}\n",
		"p  t\n{}\n",
		"p t\t\n{}\n",
		"p t\x7f\n{}\n",
		"p \xc3\xbc\n{}\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *at = bad[i];
		struct err e = ERR_INIT;
		struct delivery d;

		print_message("  %s\n", bad[i]);
		assert_fails(delivery_read(&at, at + strlen(at), &d, &e), &e, ERR_INVALID);
		assert_ptr_equal(at, bad[i]);
	}
}

static void a_word_has_an_end(void **state)
{
	char text[2 * DELIVERY_WORD_SIZE];
	const char *at = text;
	struct err e = ERR_INIT;
	struct delivery d;
	int len = snprintf(text, sizeof(text), "p %0*d\n{}\n", DELIVERY_WORD_SIZE, 0);

	(void)state;
	assert_fails(delivery_read(&at, text + len, &d, &e), &e, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_in_order),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(a_word_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
