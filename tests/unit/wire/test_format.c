/* The formats that a schema may name. */

#include "test.h"

#include "wire/format.h"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* clang-format off */
static const struct {
	enum wire_format format;
	const char *text;
	bool fits;
} cases[] = {
	{ WIRE_FORMAT_NONE,      "anything\n at all",                    true },

	{ WIRE_FORMAT_UUID,      "123e4567-e89b-42d3-a456-426614174000", true },
	{ WIRE_FORMAT_UUID,      "123E4567-E89B-42D3-A456-426614174000", false },

	{ WIRE_FORMAT_EMAIL,     "ada@example.org",                      true },
	{ WIRE_FORMAT_EMAIL,     "ada.love+lace_1815'!#$%&*/=?^`{|}~-@sub.example.org", true },
	{ WIRE_FORMAT_EMAIL,     "a@b.c",                                true },
	{ WIRE_FORMAT_EMAIL,     "ADA@EXAMPLE.ORG",                      true },
	{ WIRE_FORMAT_EMAIL,     "ada@xn--bcher-kva.example",            true },
	{ WIRE_FORMAT_EMAIL,     "ada@3com.com",                         true },
	{ WIRE_FORMAT_EMAIL,     A63 "a@example.org",                    true },
	{ WIRE_FORMAT_EMAIL,     A63 "aa@example.org",                   false }, /* 65 before the @ */
	{ WIRE_FORMAT_EMAIL,     "ada@" A63 ".org",                      true },
	{ WIRE_FORMAT_EMAIL,     "ada@" A63 "a.org",                     false }, /* a label of 64 */
	{ WIRE_FORMAT_EMAIL,     "",                                     false },
	{ WIRE_FORMAT_EMAIL,     "ada",                                  false },
	{ WIRE_FORMAT_EMAIL,     "@example.org",                         false },
	{ WIRE_FORMAT_EMAIL,     "ada@",                                 false },
	{ WIRE_FORMAT_EMAIL,     "ada@example",                          false },
	{ WIRE_FORMAT_EMAIL,     "ada@example.",                         false },
	{ WIRE_FORMAT_EMAIL,     "ada@.example.org",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada@example..org",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada@-example.org",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada@example-.org",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada@example.org-",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada@exam_ple.org",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada@127.0.0.1",                        false },
	{ WIRE_FORMAT_EMAIL,     "ada@[127.0.0.1]",                      false },
	{ WIRE_FORMAT_EMAIL,     "ada@b@example.org",                    false },
	{ WIRE_FORMAT_EMAIL,     ".ada@example.org",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada.@example.org",                     false },
	{ WIRE_FORMAT_EMAIL,     "a..da@example.org",                    false },
	{ WIRE_FORMAT_EMAIL,     "\"ada\"@example.org",                  false },
	{ WIRE_FORMAT_EMAIL,     "ada lace@example.org",                 false },
	{ WIRE_FORMAT_EMAIL,     " ada@example.org",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada@example.org ",                     false },
	{ WIRE_FORMAT_EMAIL,     "ada@example.org\r\nBcc: all@x.org",    false },
	{ WIRE_FORMAT_EMAIL,     "ada@example.org\n",                    false },
	{ WIRE_FORMAT_EMAIL,     "<ada@example.org>",                    false },
	{ WIRE_FORMAT_EMAIL,     "ada,b@example.org",                    false },
	{ WIRE_FORMAT_EMAIL,     "\xc3\xa4" "da@example.org",            false },
	{ WIRE_FORMAT_EMAIL,     "ada@b\xc3\xbc" "cher.org",             true },

	{ WIRE_FORMAT_TIMESTAMP, "2026-02-10T12:00:00.000Z",             true },
	{ WIRE_FORMAT_TIMESTAMP, "2026-02-30T12:00:00.000Z",             false },

	{ WIRE_FORMAT_LINE,      "My assistant \xf0\x9f\x98\x80",        true },
	{ WIRE_FORMAT_LINE,      "two\nlines",                           false },
	{ WIRE_FORMAT_LINE,      "a\ttab",                               false },
	{ WIRE_FORMAT_LINE,      "del\x7f",                              false },
	{ WIRE_FORMAT_LINE,      "next line\xc2\x85",                    false },
	{ WIRE_FORMAT_LINE,      "a\xc2\xa0" "b",                        true },
	{ WIRE_FORMAT_LINE,      "line\xe2\x80\xa8separator",            false },
	{ WIRE_FORMAT_LINE,      "paragraph\xe2\x80\xa9separator",       false },
	{ WIRE_FORMAT_LINE,      "price \xe2\x82\xac",                   true },
	{ WIRE_FORMAT_LINE,      " ",                                    false },
	{ WIRE_FORMAT_LINE,      " a",                                   false },
	{ WIRE_FORMAT_LINE,      "a ",                                   false },

	{ WIRE_FORMAT_TOKEN,     "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", true },
	{ WIRE_FORMAT_TOKEN,     "a b",                                  false },
	{ WIRE_FORMAT_TOKEN,     "a\n",                                  false },
	{ WIRE_FORMAT_TOKEN,     "\xc3\xa9",                             false },

	{ WIRE_FORMAT_URL,       "http://127.0.0.1:8080/v1",             true },
	{ WIRE_FORMAT_URL,       "https://api.example.org",              true },
	{ WIRE_FORMAT_URL,       "https://[::1]:8080/x?y#z",             true },
	{ WIRE_FORMAT_URL,       "https://example.org/@me",              true },
	{ WIRE_FORMAT_URL,       "ftp://example.org",                    false },
	{ WIRE_FORMAT_URL,       "file:///etc/passwd",                   false },
	{ WIRE_FORMAT_URL,       "HTTPS://example.org",                  false },
	{ WIRE_FORMAT_URL,       "https://",                             false },
	{ WIRE_FORMAT_URL,       "https:///x",                           false },
	{ WIRE_FORMAT_URL,       "https://:8080/",                       false },
	{ WIRE_FORMAT_URL,       "https://user@example.org",             false },
	{ WIRE_FORMAT_URL,       "https://user:pass@example.org/",       false },
	{ WIRE_FORMAT_URL,       "https://example.org\\@evil.org/",      false },
	{ WIRE_FORMAT_URL,       "https://example.org:99999/",           false },
	{ WIRE_FORMAT_URL,       "https://exa mple.org",                 false },
	{ WIRE_FORMAT_URL,       "https://example.org/\n",               false },
	{ WIRE_FORMAT_URL,       "example.org",                          false },
	{ WIRE_FORMAT_URL,       "",                                     false },
};
/* clang-format on */

static void each_format_takes_what_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *wrong = wire_format_check(cases[i].format, cases[i].text);

		print_message("  %s\n", cases[i].text);
		assert_int_equal(!wrong, cases[i].fits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_format_takes_what_it_says) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
