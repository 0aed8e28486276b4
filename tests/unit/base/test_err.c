/* The error value: what it carries from where something failed to where it is answered. */

#include "test.h"

#include "base/utf8.h"

static bool is_utf8(const char *s)
{
	size_t left = strlen(s);

	while (left > 0) {
		size_t n = utf8_len(s, left);

		if (n == 0)
			return false;
		s += n;
		left -= n;
	}
	return true;
}

static void setting_one_returns_minus_one(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&e, ERR_NOT_FOUND, "no %s", "thing"), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "no thing");
	assert_string_equal(e.field, "");
	assert_int_equal(e.retry_after_s, 0);

	assert_int_equal(err_field(&e, "email", "is missing"), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_string_equal(e.field, "email");

	assert_int_equal(err_busy(&e, ERR_UNAVAILABLE, 7, "later"), -1);
	assert_int_equal(e.retry_after_s, 7);
	assert_string_equal(e.field, "");
}

static void a_message_may_be_made_of_the_one_before(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_INVALID, "is wrong");
	err_set(&e, ERR_INTERNAL, "reply %s", e.msg);
	assert_string_equal(e.msg, "reply is wrong");
}

static void wrapping_keeps_code_and_field(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_field(&e, "name", "is too long");
	assert_int_equal(err_wrap(&e, "creating"), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_string_equal(e.field, "name");
	assert_string_equal(e.msg, "creating: is too long");
}

static void a_field_grows_to_a_path(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_field(&e, "key", "is missing");
	err_under(&e, "provider");
	assert_string_equal(e.field, "provider.key");
	err_under(&e, "items.3");
	assert_string_equal(e.field, "items.3.provider.key");

	err_field(&e, "", "must be an object");
	err_under(&e, "provider");
	assert_string_equal(e.field, "provider");
}

/* What is too long is cut between two characters: a reply must stay valid UTF-8 (RFC 8259). */
static void what_is_cut_stays_text(void **state)
{
	char long_text[300], odd[301] = "x";

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(long_text); i += 2)
		memcpy(long_text + i, "\xc3\xa9", 2);
	long_text[sizeof(long_text) - 2] = '\0';
	snprintf(odd + 1, sizeof(odd) - 1, "%s", long_text);

	for (int i = 0; i < 2; i++) {
		const char *text = i ? odd : long_text;
		struct err e = ERR_INIT;

		err_field(&e, text, "%s", text);
		assert_true(is_utf8(e.msg) && is_utf8(e.field));
		assert_true(strlen(e.msg) > 180 && strlen(e.field) > 60);
		err_wrap(&e, text);
		assert_true(is_utf8(e.msg));
		err_under(&e, text);
		assert_true(is_utf8(e.field));
		err_under(&e, "items.3");
		assert_true(is_utf8(e.field));
		err_set(&e, ERR_INTERNAL, "%s", "bad \xff byte");
		assert_string_equal(e.msg, "bad ? byte");
	}
}

static void every_code_has_a_row_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_CODE_COUNT; i++) {
		const char *name = err_name((enum err_code)i);

		assert_non_null(name);
		assert_true(err_http((enum err_code)i) >= 200 && err_http((enum err_code)i) < 600);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(err_name((enum err_code)k), name);
		if (i != ERR_NONE) {
			assert_true(err_http((enum err_code)i) >= 400);
			assert_int_equal(err_from_name(name), i);
		}
	}
	assert_int_equal(err_from_name("NO_SUCH_CODE"), ERR_INTERNAL);
	assert_int_equal(err_from_name("OK"), ERR_INTERNAL);
	assert_int_equal(err_from_name(""), ERR_INTERNAL);
}

static void detail_of_our_own_stays_inside(void **state)
{
	static const enum err_code ours[] = { ERR_INTERNAL, ERR_UNAVAILABLE, ERR_TIMEOUT };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < COUNT(ours); i++) {
		err_set(&e, ours[i], "password of zaki_auth is wrong");
		assert_null(strstr(err_public(&e), "password"));
	}
	err_set(&e, ERR_NOT_FOUND, "no such instance");
	assert_string_equal(err_public(&e), "no such instance");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setting_one_returns_minus_one),
		cmocka_unit_test(a_message_may_be_made_of_the_one_before),
		cmocka_unit_test(wrapping_keeps_code_and_field),
		cmocka_unit_test(a_field_grows_to_a_path),
		cmocka_unit_test(what_is_cut_stays_text),
		cmocka_unit_test(every_code_has_a_row_of_its_own),
		cmocka_unit_test(detail_of_our_own_stays_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
