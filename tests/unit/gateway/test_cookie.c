#include "cookie.h"

#include "test.h"

#define A COOKIE_ACCESS

static const struct {
	const char *header, *value; /* NULL: none */
} cases[] = {
	{ A "=x", "x" },
	{ "a=1; " A "=x; b=2", "x" },
	{ "a=1;" A "=x;b=2", "x" },
	{ ";; " A "=x ;", "x" },
	{ A "=x=y", "x=y" },
	{ NULL, NULL },
	{ "", NULL },
	{ ";", NULL },
	{ A, NULL },
	{ A "=", NULL },
	{ A "=  ", NULL },
	{ A "2=x", NULL },
	{ "x" A "=x", NULL },
	{ "a=" A "=x", NULL },
	{ "__host-zaki_access=x", NULL },
	{ A "=x; " A "=y", NULL },
	{ A "=x; " A "=", NULL },
};

static void a_cookie_is_found_by_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(arena) struct arena a = { .limit = 4096 };
		const char *value = cookie_find(cases[i].header, A, &a);

		print_message("  %s\n", cases[i].header ? cases[i].header : "(none)");
		assert_int_equal(!value, !cases[i].value);
		if (value)
			assert_string_equal(value, cases[i].value);
	}
}

static void each_line_has_what_keeps_it_from_others(void **state)
{
	OWN(arena) struct arena a = { .limit = 4096 };
	const char *lines = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(cookie_lines("aa", 900, "rr", &a, &lines, &e), &e);
	assert_string_equal(lines,
	                    "Set-Cookie: __Host-zaki_access=aa; Max-Age=900; Path=/; HttpOnly; "
	                    "Secure; SameSite=Lax\r\n"
	                    "Set-Cookie: __Host-zaki_refresh=rr; Max-Age=604800; Path=/; HttpOnly; "
	                    "Secure; SameSite=Lax\r\n");
	assert_ok(cookie_lines(NULL, 900, NULL, &a, &lines, &e), &e);
	assert_non_null(strstr(lines, "__Host-zaki_access=; Max-Age=0;"));
	assert_non_null(strstr(lines, "__Host-zaki_refresh=; Max-Age=0;"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cookie_is_found_by_its_name),
		cmocka_unit_test(each_line_has_what_keeps_it_from_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
