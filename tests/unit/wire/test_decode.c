/* What a message may hold: each kind of field, read as its row says. */

#include "sample_tables.h"
#include "test.h"

#include "base/json.h"

#define ID         "\"id\":\"123e4567-e89b-42d3-a456-426614174000\""
#define REST       ID ",\"note\":null,\"size\":1,\"on\":true"
#define WITH(more) "{" REST "," more "}"

/* clang-format off */
static const struct {
	const char *what, *json, *field; /* field: where it must be refused; NULL: accepted */
} cases[] = {
	{ "the least",                  "{" REST "}",                          NULL },
	{ "everything",                 WITH("\"color\":\"red\",\"pin\":\"1234\",\"age\":7,\"rank\":1,\"maybe\":false,"
	                                     "\"part\":{\"name\":\"p\",\"key\":\"abcd\"},\"tags\":[\"a\",\"bb\"],"
	                                     "\"parts\":[{\"name\":\"q\"}],\"extra\":{\"x\":[1,2]}"), NULL },
	{ "not an object",              "[]",                                  "" },
	{ "null",                       "null",                                "" },
	{ "an unknown field",           WITH("\"root\":true"),                 "root" },
	{ "a name in other letters",    WITH("\"Color\":\"red\""),             "Color" },
	{ "an empty name",              WITH("\"\":1"),                        "" },
	{ "a required field missing",   "{\"note\":null,\"size\":1,\"on\":true}", "id" },
	{ "a nullable one missing",     "{" ID ",\"size\":1,\"on\":true}",     "note" },
	{ "a required one null",        "{\"id\":null,\"note\":null,\"size\":1,\"on\":true}", "id" },
	{ "an optional one null",       WITH("\"color\":null"),                "color" },

	{ "a string that is a number",  WITH("\"color\":1"),                   "color" },
	{ "a string that is an object", WITH("\"color\":{}"),                  "color" },
	{ "not one of the values",      WITH("\"color\":\"blue\""),            "color" },
	{ "in other letters",           WITH("\"color\":\"RED\""),             "color" },
	{ "empty for one of",           WITH("\"color\":\"\""),                "color" },
	{ "text of 5 characters",       "{" ID ",\"note\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\",\"size\":1,\"on\":true}", NULL },
	{ "text of 6 characters",       "{" ID ",\"note\":\"123456\",\"size\":1,\"on\":true}", "note" },
	{ "text that is empty",         "{" ID ",\"note\":\"\",\"size\":1,\"on\":true}", "note" },
	{ "a format that is wrong",     "{\"id\":\"123E4567-e89b-42d3-a456-426614174000\",\"note\":null,\"size\":1,\"on\":true}", "id" },

	{ "a number that is a string",  WITH("\"age\":\"7\""),                 "age" },
	{ "a number that is true",      WITH("\"age\":true"),                  "age" },
	{ "a fraction",                 WITH("\"age\":7.5"),                   "age" },
	{ "a whole number with .0",     WITH("\"age\":7.0"),                   NULL },
	{ "one in exponents",           WITH("\"age\":1e2"),                   NULL },
	{ "minus zero",                 WITH("\"age\":-0"),                    NULL },
	{ "the greatest",               WITH("\"age\":150"),                   NULL },
	{ "one more",                   WITH("\"age\":151"),                   "age" },
	{ "one less than the least",    WITH("\"age\":-1"),                    "age" },
	{ "far too large",              WITH("\"age\":1e300"),                 "age" },
	{ "far too small",              WITH("\"age\":-1e300"),                "age" },
	{ "a nullable number as null",  WITH("\"rank\":null"),                 NULL },
	{ "a nullable number too small", WITH("\"rank\":0"),                   "rank" },

	{ "a boolean that is 1",        WITH("\"maybe\":1"),                   "maybe" },
	{ "a boolean that is text",     WITH("\"maybe\":\"true\""),            "maybe" },
	{ "a boolean that is null",     WITH("\"maybe\":null"),                "maybe" },

	{ "a part that is text",        WITH("\"part\":\"x\""),                "part" },
	{ "a part that is an array",    WITH("\"part\":[]"),                   "part" },
	{ "a part without its name",    WITH("\"part\":{}"),                   "part.name" },
	{ "an unknown field in a part", WITH("\"part\":{\"name\":\"p\",\"x\":1}"), "part.x" },
	{ "a part's text too long",     WITH("\"part\":{\"name\":\"123456789\"}"), "part.name" },

	{ "no tags",                    WITH("\"tags\":[]"),                   NULL },
	{ "three tags",                 WITH("\"tags\":[\"a\",\"b\",\"c\"]"),  NULL },
	{ "a tag too many",             WITH("\"tags\":[\"a\",\"b\",\"c\",\"d\"]"), "tags" },
	{ "tags that are text",         WITH("\"tags\":\"a\""),                "tags" },
	{ "tags that are an object",    WITH("\"tags\":{\"0\":\"a\"}"),        "tags" },
	{ "a tag that is a number",     WITH("\"tags\":[\"a\",7]"),            "tags.1" },
	{ "a tag that is null",         WITH("\"tags\":[null]"),               "tags.0" },
	{ "a tag too long",             WITH("\"tags\":[\"a\",\"b\",\"12345\"]"), "tags.2" },
	{ "a tag that is empty",        WITH("\"tags\":[\"\"]"),               "tags.0" },

	{ "a part in a list is wrong",  WITH("\"parts\":[{\"name\":\"q\"},{\"name\":7}]"), "parts.1.name" },
	{ "a part in a list is no object", WITH("\"parts\":[7]"),              "parts.0" },
	{ "too many parts",             WITH("\"parts\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]"), "parts" },

	{ "any JSON: text",             WITH("\"extra\":\"x\""),               NULL },
	{ "any JSON: null",             WITH("\"extra\":null"),                NULL },
	{ "any JSON: too long",         WITH("\"extra\":\"0123456789012345678\""), "extra" },
};
/* clang-format on */

static int decode(const char *text, size_t limit, struct arena *a, struct sample *out,
                  struct err *e)
{
	OWN(json) cJSON *json = cJSON_Parse(text);

	assert_non_null(json);
	*e = ERR_INIT;
	arena_init(a, limit);
	return wire_decode(&wire_sample, json, NULL, a, out, e);
}

static void each_field_is_read_as_its_row_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(arena) struct arena a = { 0 };
		struct sample out;
		struct err e;
		int r = decode(cases[i].json, 8192, &a, &out, &e);

		print_message("  %s\n", cases[i].what);
		assert_int_equal(r, cases[i].field ? -1 : 0);
		assert_int_equal(e.code, cases[i].field ? ERR_INVALID : ERR_NONE);
		assert_string_equal(e.field, cases[i].field ? cases[i].field : "");
	}
}

static void what_is_read_is_there(void **state)
{
	OWN(arena) struct arena a = { 0 };
	struct sample s;
	struct err e;

	(void)state;
	assert_ok(decode(cases[1].json, 8192, &a, &s, &e), &e);
	assert_string_equal(s.id, "123e4567-e89b-42d3-a456-426614174000");
	assert_string_equal(s.color, "red");
	assert_string_equal(s.pin, "1234");
	assert_null(s.note);
	assert_true(s.size == 1 && s.has_age && s.age == 7 && s.has_rank && s.rank == 1);
	assert_true(s.on && s.has_maybe && !s.maybe);
	assert_string_equal(s.part->name, "p");
	assert_string_equal(s.part->key, "abcd");
	assert_int_equal(s.tags_count, 2);
	assert_string_equal(s.tags[1], "bb");
	assert_int_equal(s.parts_count, 1);
	assert_string_equal(s.parts[0].name, "q");
	assert_null(s.parts[0].key);
	assert_string_equal(s.extra, "{\"x\":[1,2]}");
}

static void what_is_absent_can_be_told_from_zero(void **state)
{
	OWN(arena) struct arena a = { 0 };
	OWN(arena) struct arena b = { 0 };
	struct sample s;
	struct err e;

	(void)state;
	assert_ok(decode("{" REST "}", 8192, &a, &s, &e), &e);
	assert_false(s.has_age || s.has_rank || s.has_maybe);
	assert_true(!s.color && !s.part && !s.tags && !s.parts && !s.extra);
	assert_ok(
		decode(WITH("\"rank\":null,\"tags\":[],\"parts\":[],\"age\":0"), 8192, &b, &s, &e),
		&e);
	assert_true(s.has_age && !s.has_rank);
	assert_true(s.tags && s.tags_count == 0 && s.parts && s.parts_count == 0);
}

static void the_largest_whole_number_is_exact(void **state)
{
	OWN(arena) struct arena a = { 0 };
	struct sample s;
	struct err e;

	(void)state;
	assert_ok(decode("{" ID ",\"note\":null,\"size\":9007199254740991,\"on\":true}", 8192, &a,
	                 &s, &e),
	          &e);
	assert_int_equal(s.size, 9007199254740991);
}

static void a_full_arena_is_too_large_a_message(void **state)
{
	struct err e;
	struct sample s;
	int last = -1;

	(void)state;
	for (size_t limit = 0; limit < 1024; limit += 16) {
		OWN(arena) struct arena a = { 0 };
		int r = decode(cases[1].json, limit, &a, &s, &e);

		assert_true(r == 0 || e.code == ERR_TOO_LARGE);
		assert_true(limit > 0 || r < 0);
		assert_true(r >= last); /* what fits in less fits in more */
		last = r;
	}
	assert_int_equal(last, 0);
}

static void what_was_refused_is_not_in_the_message(void **state)
{
	static const char *const jsons[] = {
		WITH("\"pin\":\"hunter2hunter2\""),
		WITH("\"pin\":{\"hunter2\":1}"),
		WITH("\"part\":{\"name\":\"p\",\"key\":\"hunter2 hunter2\"}"),
		WITH("\"parts\":[{\"name\":\"p\",\"key\":\"hunter2 \"}]"),
		WITH("\"color\":\"hunter2\""),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(jsons); i++) {
		OWN(arena) struct arena a = { 0 };
		struct sample s;
		struct err e;

		assert_int_equal(decode(jsons[i], 8192, &a, &s, &e), -1);
		assert_null(strstr(e.msg, "hunter"));
		assert_null(strstr(e.field, "hunter"));
	}
}

static void a_field_is_found_by_its_whole_name(void **state)
{
	(void)state;
	assert_ptr_equal(wire_field_find(&wire_sample, "part"), &sample_fields[9]);
	assert_ptr_equal(wire_field_find(&wire_sample, "parts"), &sample_fields[11]);
	assert_null(wire_field_find(&wire_sample, "par"));
	assert_null(wire_field_find(&wire_sample, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_field_is_read_as_its_row_says),
		cmocka_unit_test(what_is_read_is_there),
		cmocka_unit_test(what_is_absent_can_be_told_from_zero),
		cmocka_unit_test(the_largest_whole_number_is_exact),
		cmocka_unit_test(a_full_arena_is_too_large_a_message),
		cmocka_unit_test(what_was_refused_is_not_in_the_message),
		cmocka_unit_test(a_field_is_found_by_its_whole_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
