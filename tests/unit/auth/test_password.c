#include "password.h"

#include "test.h"

#include <limits.h>

#define EMAIL "ann.lee@example.com"

/* 128 characters, and one more where it is asked for. */
#define TEN    "0a1b2c3d4e"
#define C128   TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "f5g6h7i8"
#define UMLAUT "\xc3\xa4"
#define U8     UMLAUT "b" UMLAUT "d" UMLAUT "f" UMLAUT "h"
#define EMOJI  "\xf0\x9f\x90\x99"

static const struct {
	const char *what, *password;
	bool accepted;
} cases[] = {
	{ "a phrase", "correct horse battery", true },
	{ "eight characters", "kx7qwmvz", true },
	{ "seven", "kx7qwmv", false },
	{ "none", "", false },
	{ "128", C128, true },
	{ "129", C128 "x", false },
	{ "eight letters of two bytes and one", U8, true },
	{ "seven of 28 bytes", EMOJI EMOJI "a" EMOJI EMOJI "b" EMOJI, false },
	{ "eight of four bytes each", EMOJI EMOJI "a" EMOJI EMOJI "b" EMOJI EMOJI, true },
	{ "spaces only in between", "a b c d e", true },
	{ "password", "password", false },
	{ "password in capitals", "PassWord", false },
	{ "password1", "password1", false },
	{ "password123", "password123", false },
	{ "12345678", "12345678", false },
	{ "qwertyuiop", "qwertyuiop", false },
	{ "iloveyou", "iloveyou", false },
	{ "a common one and more", "password1 correct horse", true },
	{ "one character only", "zzzzzzzzzz", false },
	{ "upwards", "efghijklmnopq", false },
	{ "downwards", "zyxwvutsrqp", false },
	{ "upwards but for the end", "efghijklmnoqq", true },
	{ "the address", EMAIL, false },
	{ "the address in capitals", "Ann.Lee@Example.com", false },
	{ "the name in the address", "ann.lee", false },
	{ "two of the list's words with a line's end", "password\npassword1", false },
};

static void the_rules_are_few_and_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err e = ERR_INIT;
		int r = password_check(cases[i].password, EMAIL, &e);

		print_message("  %s\n", cases[i].what);
		assert_int_equal(r, cases[i].accepted ? 0 : -1);
		assert_string_equal(e.field, cases[i].accepted ? "" : "password");
		if (cases[i].password[0])
			assert_null(strstr(e.msg, cases[i].password));
	}
}

static void the_name_in_the_address_is_refused_where_it_is_long_enough(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(password_check("annabel.lee", "annabel.lee@example.com", &e), &e, ERR_INVALID);
	assert_non_null(strstr(e.msg, "e-mail"));
}

static const char *const words[] = { "\n"
#include "common_passwords.def"
};

/* Each line once, in order, at least PASSWORD_MIN long, in lower case: is_common() looks for whole
 * lines in lower case. */
static void the_list_is_as_the_code_reads_it(void **state)
{
	const char *before = "", *line = words[0] + 1;
	size_t count = 0;

	(void)state;
	while (*line) {
		size_t len = strcspn(line, "\n"), len_before = strcspn(before, "\n");
		size_t shorter = len < len_before ? len : len_before;
		int order = memcmp(before, line, shorter);

		assert_true(len >= PASSWORD_MIN && len <= PASSWORD_MAX);
		for (size_t i = 0; i < len; i++)
			assert_true(line[i] > ' ' && line[i] <= '~' &&
			            !(line[i] >= 'A' && line[i] <= 'Z'));
		assert_true(order < 0 || (order == 0 && len_before < len));
		assert_int_equal(line[len], '\n');
		if (count % 100 == 0) {
			char word[PASSWORD_MAX + 1];
			struct err e = ERR_INIT;

			snprintf(word, sizeof(word), "%.*s", (int)len, line);
			assert_fails(password_check(word, EMAIL, &e), &e, ERR_INVALID);
		}
		before = line;
		line += len + 1;
		count++;
	}
	assert_true(count > 8000);
}

static void a_hash_fits_its_password_alone(void **state)
{
	char hash[PASSWORD_HASH_SIZE], other[PASSWORD_HASH_SIZE];
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(password_hash("correct horse battery", hash, &e), &e);
	assert_ok(password_hash("correct horse battery", other, &e), &e);
	assert_string_not_equal(hash, other);
	assert_memory_equal(hash, "$argon2id$v=19$m=65536,t=2,p=1$", 31);
	assert_true(password_fits("correct horse battery", hash));
	assert_false(password_fits("correct horse batter", hash));
	assert_false(password_fits("correct horse battery ", hash));
	assert_false(password_fits("Correct horse battery", hash));
	assert_false(password_fits("", hash));
	assert_false(password_fits("correct horse battery", ""));
	assert_false(password_fits("correct horse battery", "not a hash"));

	/* To the last of 128 characters. */
	assert_ok(password_hash(C128, hash, &e), &e);
	assert_true(password_fits(C128, hash));
	assert_false(
		password_fits(TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "f5g6h7i9", hash));
}

/* Of the processor's time, which is this thread's alone. */
static long long refusal_ns(const char *hash)
{
	struct timespec from, to;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	assert_false(password_fits("something else", hash));
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec;
}

/* The least that each has needed, by turns: whatever disturbs a machine only adds to it. */
static void nobodys_hash_fits_nothing_and_costs_the_same(void **state)
{
	long long nobodys = LLONG_MAX, someones = LLONG_MAX;
	char hash[PASSWORD_HASH_SIZE];
	struct err e = ERR_INIT;
	bool is_alike = false;

	(void)state;
	assert_ok(password_hash("correct horse battery", hash, &e), &e);
	for (int i = 0; i < 50 && (i < 5 || !is_alike); i++) {
		long long ns[2] = { refusal_ns(NULL), refusal_ns(hash) };

		nobodys = ns[0] < nobodys ? ns[0] : nobodys;
		someones = ns[1] < someones ? ns[1] : someones;
		is_alike = nobodys < 2 * someones && someones < 2 * nobodys;
	}
	print_message("  nobody's %lld ms, someone's %lld ms\n", nobodys / 1000000,
	              someones / 1000000);
	assert_true(is_alike);
}

/* Of the lists that everybody tries, those that a short list of ours may lack. */
static void what_everybody_tries_is_refused(void **state)
{
	static const char *const common[] = { "liverpool", "charlie1",  "jordan23", "1qaz2wsx",
		                              "iloveyou2", "letmein1",  "P@ssw0rd", "qwertyuiop",
		                              "Sunshine1", "superman1", "abc12345", "baseball1" };
	static const char *const fine[] = { "only lower case letters", "a b c d e f", "1fA.x7qz",
		                            "correct horse", "a good long one" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < COUNT(common); i++) {
		print_message("  %s\n", common[i]);
		assert_fails(password_check(common[i], EMAIL, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, "password");
	}
	for (size_t i = 0; i < COUNT(fine); i++)
		assert_ok(password_check(fine[i], EMAIL, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rules_are_few_and_hold),
		cmocka_unit_test(the_name_in_the_address_is_refused_where_it_is_long_enough),
		cmocka_unit_test(the_list_is_as_the_code_reads_it),
		cmocka_unit_test(what_everybody_tries_is_refused),
		cmocka_unit_test(a_hash_fits_its_password_alone),
		cmocka_unit_test(nobodys_hash_fits_nothing_and_costs_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
