/* What may come in as JSON, and what may not. */

#include "test.h"

#include "base/json.h"

#define BOM "\xef\xbb\xbf"

/* clang-format off */
static const struct {
	const char *what, *json;
	bool is_json;
} cases[] = {
	{ "an object",                      "{\"a\":1}",                       true },
	{ "space around it",                " \t\r\n{ \"a\" : 1 } \n",         true },
	{ "a bare number",                  "1",                               true },
	{ "a bare string",                  "\"x\"",                           true },
	{ "null",                           "null",                            true },
	{ "an empty array",                 "[]",                              true },
	{ "numbers of every form",          "[0,-0,1.5,-1.5e3,2E+2,1e-2,9007199254740993]", true },
	{ "escapes",                        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",  true },
	{ "an escaped backslash, then u0000", "\"\\\\u0000\"",                 true },
	{ "a pair of surrogates",           "\"\\ud83d\\ude00\"",              true },
	{ "UTF-8 of 2, 3 and 4 bytes",      "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", true },
	{ "the last code point",            "\"\xf4\x8f\xbf\xbf\"",            true },
	{ "DEL is no control character here", "\"\x7f\"",                      true },

	{ "nothing",                        "",                                false },
	{ "only space",                     "  \n",                            false },
	{ "bytes after the document",       "{\"a\":1} trailing",              false },
	{ "two documents",                  "{}{}",                            false },
	{ "a comma after the document",     "{},",                             false },
	{ "cut off",                        "{\"a\":",                         false },
	{ "a string cut off",               "\"abc",                           false },
	{ "a string cut off after a backslash", "\"abc\\",                     false },
	{ "a comma too many in an object",  "{\"a\":1,}",                      false },
	{ "a comma too many in an array",   "[1,]",                            false },
	{ "a key that is no string",        "{a:1}",                           false },
	{ "single quotes",                  "{'a':1}",                         false },
	{ "a comment",                      "{}/* */",                         false },
	{ "a line comment",                 "{}//",                            false },
	{ "wrong words",                    "[True]",                          false },
	{ "NaN",                            "NaN",                             false },
	{ "Infinity",                       "[Infinity]",                      false },
	{ "minus Infinity",                 "-Infinity",                       false },
	{ "a zero character",               "\"admin\\u0000x\"",               false },
	{ "a zero character in a key",      "{\"a\\u0000b\":1}",               false },
	{ "a zero character after a backslash", "\"\\\\\\u0000\"",             false },
	{ "an unknown escape",              "\"\\x41\"",                       false },
	{ "a short escape",                 "\"\\u12\"",                       false },
	{ "an escape that is no hex",       "\"\\u12g4\"",                     false },
	{ "a key twice",                    "{\"a\":1,\"a\":2}",               false },
	{ "a key twice, once escaped",      "{\"a\":1,\"\\u0061\":2}",         false },
	{ "a key twice, further in",        "[{\"b\":{\"a\":1,\"a\":1}}]",     false },
	{ "a number with a zero in front",  "01",                              false },
	{ "a negative one",                 "[-01]",                           false },
	{ "a number with a plus",           "[+1]",                            false },
	{ "a number that ends in a dot",    "[1.]",                            false },
	{ "a number that begins with one",  "[.5]",                            false },
	{ "a number without an exponent",   "[1e]",                            false },
	{ "only a minus",                   "[-]",                             false },
	{ "hex",                            "[0x10]",                          false },
	{ "two dots",                       "[1.2.3]",                         false },
	{ "a number past a double",         "1e999",                           false },
	{ "a negative one",                 "{\"a\":-1e999}",                  false },
	{ "a byte order mark",              BOM "{}",                          false },
	{ "one inside",                     "{" BOM "}",                       false },
	{ "one byte alone",                 "\"\xc3\"",                        false },
	{ "a byte that never occurs",       "\"\xff\"",                        false },
	{ "a continuation alone",           "\"\x80\"",                        false },
	{ "not the shortest form",          "\"\xc0\xaf\"",                    false },
	{ "not the shortest of three",      "\"\xe0\x80\xaf\"",                false },
	{ "a surrogate in UTF-8",           "\"\xed\xa0\x80\"",                false },
	{ "past U+10FFFF",                  "\"\xf4\x90\x80\x80\"",            false },
	{ "invalid UTF-8 in a key",         "{\"\xff\":1}",                    false },
	{ "UTF-8 outside a string",         "[\xc3\xa9]",                      false },
	{ "a raw newline in a string",      "\"a\nb\"",                        false },
	{ "a raw tab in a string",          "\"a\tb\"",                        false },
	{ "a raw control character",        "\"\x01\"",                        false },
	{ "one outside a string",           "[\x01]",                          false },
	{ "a form feed as space",           "[\f]",                            false },
	{ "a high surrogate alone",         "\"\\ud800\"",                     false },
	{ "a low surrogate alone",          "\"\\udc00\"",                     false },
	{ "a high one, then no low one",    "\"\\ud800\\u0041\"",              false },
	{ "a high one, then text",          "\"\\ud800abcdef\"",               false },
	{ "two high ones",                  "\"\\ud800\\ud800\"",              false },
	{ "brackets that do not match",     "[{]}",                            false },
	{ "one bracket too many",           "{}}",                             false },
};
/* clang-format on */

static int parse(const char *json, size_t len, struct err *e)
{
	OWN(json) cJSON *doc = NULL;

	*e = ERR_INIT;
	return json_parse(json, len, &doc, e);
}

static void json_is_read_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err e;
		int r = parse(cases[i].json, strlen(cases[i].json), &e);

		print_message("  %s\n", cases[i].what);
		assert_int_equal(r, cases[i].is_json ? 0 : -1);
		assert_int_equal(e.code, cases[i].is_json ? ERR_NONE : ERR_INVALID);
	}
}

static void a_raw_zero_byte_is_refused(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(parse("{}\0", 3, &e), -1);
	assert_int_equal(parse("\"a\0b\"", 5, &e), -1);
	assert_int_equal(parse("\0", 1, &e), -1);
}

/* Each document at the very end of its memory: reading past it is seen by the sanitizer. */
static void no_byte_past_the_end_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		for (size_t len = 0; len <= strlen(cases[i].json); len++) {
			OWN(mem) char *exact = malloc(len ? len : 1);
			struct err e;

			memcpy(exact, cases[i].json, len);
			(void)parse(exact, len, &e);
		}
	}
}

static void nested(int depth, const char *open, const char *close, char *buf, size_t size)
{
	int used = 0;

	for (int i = 0; i < depth; i++)
		used += snprintf(buf + used, size - (size_t)used, "%s", open);
	used += snprintf(buf + used, size - (size_t)used, "1");
	for (int i = 0; i < depth; i++)
		used += snprintf(buf + used, size - (size_t)used, "%s", close);
}

static void depth_has_a_limit(void **state)
{
	char buf[1024];
	struct err e;

	(void)state;
	nested(JSON_DEPTH_MAX, "[", "]", buf, sizeof(buf));
	assert_int_equal(parse(buf, strlen(buf), &e), 0);
	nested(JSON_DEPTH_MAX + 1, "[", "]", buf, sizeof(buf));
	assert_int_equal(parse(buf, strlen(buf), &e), -1);
	nested(JSON_DEPTH_MAX, "{\"a\":", "}", buf, sizeof(buf));
	assert_int_equal(parse(buf, strlen(buf), &e), 0);
	nested(JSON_DEPTH_MAX + 1, "{\"a\":", "}", buf, sizeof(buf));
	assert_int_equal(parse(buf, strlen(buf), &e), -1);
}

/* Brackets in a string are text, and a closed one counts no more. */
static void only_what_is_open_counts_as_depth(void **state)
{
	char buf[4096] = "[\"";
	struct err e;

	(void)state;
	memset(buf + 2, '[', 2000);
	memcpy(buf + 2002, "\",[],[],{}]", 12);
	assert_int_equal(parse(buf, strlen(buf), &e), 0);
}

static size_t object_of(int members, char *buf, size_t size)
{
	size_t used = 0;

	for (int i = 0; i < members; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s\"k%d\":0", i ? "," : "{", i);
	return used + (size_t)snprintf(buf + used, size - used, "}");
}

static void members_have_a_limit(void **state)
{
	static char buf[32768];
	struct err e;

	(void)state;
	assert_int_equal(parse(buf, object_of(JSON_MEMBERS_MAX, buf, sizeof(buf)), &e), 0);
	assert_int_equal(parse(buf, object_of(JSON_MEMBERS_MAX + 1, buf, sizeof(buf)), &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
}

static void a_key_that_comes_twice_is_named(void **state)
{
	static const char json[] = "{\"a\":{\"name\":1,\"name\":2}}";
	struct err e;

	(void)state;
	assert_int_equal(parse(json, strlen(json), &e), -1);
	assert_string_equal(e.field, "name");
}

static void text_is_found_only_where_it_is(void **state)
{
	static const char json[] = "{\"a\":\"x\",\"b\":1,\"A\":\"y\"}";
	OWN(json) cJSON *doc = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(json_parse(json, strlen(json), &doc, &e), &e);
	assert_string_equal(json_text(doc, "a"), "x");
	assert_null(json_text(doc, "b"));
	assert_null(json_text(doc, "c"));
	assert_null(json_text(NULL, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_read_strictly),
		cmocka_unit_test(a_raw_zero_byte_is_refused),
		cmocka_unit_test(no_byte_past_the_end_is_read),
		cmocka_unit_test(depth_has_a_limit),
		cmocka_unit_test(only_what_is_open_counts_as_depth),
		cmocka_unit_test(members_have_a_limit),
		cmocka_unit_test(a_key_that_comes_twice_is_named),
		cmocka_unit_test(text_is_found_only_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
