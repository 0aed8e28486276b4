#include "factor.h"

#include "test.h"

/* RFC 6238, appendix B, SHA-1; the last six of its eight digits. */
static const unsigned char secret[] = "12345678901234567890";

static const struct {
	long long at_s;
	const char *code;
} vectors[] = {
	{ 59, "287082" },         { 1111111109, "081804" }, { 1111111111, "050471" },
	{ 1234567890, "005924" }, { 2000000000, "279037" }, { 20000000000, "353130" },
};

static void codes_are_those_of_the_rfc(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++)
		assert_int_equal(factor_step_of(secret, 20, vectors[i].at_s, vectors[i].code),
		                 vectors[i].at_s / 30);
}

static void a_step_on_either_side_is_taken_and_no_more(void **state)
{
	long long step = 1111111111 / 30, at = step * 30;

	(void)state;
	assert_int_equal(factor_step_of(secret, 20, at - 1, "050471"), step);
	assert_int_equal(factor_step_of(secret, 20, at - 30, "050471"), step);
	assert_int_equal(factor_step_of(secret, 20, at + 59, "050471"), step);
	assert_int_equal(factor_step_of(secret, 20, at - 31, "050471"), 0);
	assert_int_equal(factor_step_of(secret, 20, at + 60, "050471"), 0);
}

static void what_is_no_code_is_none(void **state)
{
	static const char *const wrong[] = { "",       "05047",   "0504711", "05047a",
		                             "050472", " 050471", "-50471",  "14050471" };

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(factor_step_of(secret, 20, 1111111111, wrong[i]), 0);
}

static void a_recovery_code_is_read_as_people_write_it(void **state)
{
	char out[FACTOR_RECOVERY_SIZE];

	(void)state;
	assert_true(factor_recovery_plain("ABCD-EFGH-IJKL-MNOP-QRST-UVW2", out));
	assert_string_equal(out, "ABCDEFGHIJKLMNOPQRSTUVW2");
	assert_true(factor_recovery_plain("abcdefghijklmnopqrstuvw2", out));
	assert_string_equal(out, "ABCDEFGHIJKLMNOPQRSTUVW2");
	assert_false(factor_recovery_plain("ABCD-EFGH-IJKL-MNOP-QRST-UVW", out));
	assert_false(factor_recovery_plain("ABCD-EFGH-IJKL-MNOP-QRST-UVW22", out));
	assert_false(factor_recovery_plain("ABCD-EFGH-IJKL-MNOP-QRST-UVW1", out));
	assert_false(factor_recovery_plain("", out));
	assert_false(factor_recovery_plain("123456", out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_are_those_of_the_rfc),
		cmocka_unit_test(a_step_on_either_side_is_taken_and_no_more),
		cmocka_unit_test(what_is_no_code_is_none),
		cmocka_unit_test(a_recovery_code_is_read_as_people_write_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
