#include "email.h"

#include "test.h"

static const struct {
	const char *what, *in, *want; /* NULL: refused */
} cases[] = {
	{ "as it is", "ada@example.org", "ada@example.org" },
	{ "capitals on both sides", "Ann.LEE+Tag@Example.COM", "ann.lee+tag@example.com" },
	{ "A-labels", "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example" },
	{ "A-labels in capitals", "ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example" },
	{ "Unicode, composed",
	  "ada@b\xc3\xbc"
	  "cher.example",
	  "ada@xn--bcher-kva.example" },
	{ "Unicode, decomposed",
	  "ada@bu\xcc\x88"
	  "cher.example",
	  "ada@xn--bcher-kva.example" },
	{ "Unicode in capitals",
	  "ada@B\xc3\x9c"
	  "CHER.example",
	  "ada@xn--bcher-kva.example" },
	{ "wide letters", "ada@\xef\xbd\x85xample.org", "ada@example.org" },
	{ "sharp s is itself",
	  "ada@stra\xc3\x9f"
	  "e.example",
	  "ada@xn--strae-oqa.example" },
	{ "broken A-label", "ada@xn--\x61-.example", NULL },
	{ "a space that is none yet",
	  "ada@a\xc2\xa0"
	  "b.org",
	  NULL },
	{ "wide digits", "ada@127.0.0.\xef\xbc\x91", NULL },
	{ "no at", "example.org", NULL },
	{ "nothing behind it", "ada@", NULL },
	{ "a label of 64",
	  "ada@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org", NULL },
};

static void one_mailbox_has_one_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[EMAIL_SIZE] = "untouched";
		struct err e = ERR_INIT;
		int r;

		print_message("  %s\n", cases[i].what);
		r = email_normal(cases[i].in, out, &e);
		if (!cases[i].want) {
			assert_fails(r, &e, ERR_INVALID);
			assert_string_equal(e.field, "email");
			continue;
		}
		assert_ok(r, &e);
		assert_string_equal(out, cases[i].want);
	}
}

static void what_it_makes_it_leaves_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char once[EMAIL_SIZE], twice[EMAIL_SIZE];
		struct err e = ERR_INIT;

		if (!cases[i].want)
			continue;
		assert_ok(email_normal(cases[i].in, once, &e), &e);
		assert_ok(email_normal(once, twice, &e), &e);
		assert_string_equal(once, twice);
	}
}

static void a_long_address_is_refused(void **state)
{
	char in[EMAIL_SIZE + 60], out[EMAIL_SIZE];
	struct err e = ERR_INIT;

	(void)state;
	memset(in, 'a', sizeof(in));
	memcpy(in + 65, "@example.org", 13);
	assert_fails(email_normal(in, out, &e), &e, ERR_INVALID);
	in[64] = '@';
	memset(in + 65, 'a', 60);
	for (size_t i = 65; i < 305; i += 50)
		in[i + 49] = '.';
	memcpy(in + 300, ".org", 5);
	e = ERR_INIT;
	assert_fails(email_normal(in, out, &e), &e, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_mailbox_has_one_form),
		cmocka_unit_test(what_it_makes_it_leaves_alone),
		cmocka_unit_test(a_long_address_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
