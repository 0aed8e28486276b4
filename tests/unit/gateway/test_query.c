#include "query.h"

#include "test.h"
#include "wire/subject.h"

static const struct {
	const char *query, *fields; /* as JSON; NULL: refused */
	const char *field;          /* at which it is refused */
} cases[] = {
	{ NULL, "{}", "" },
	{ "", "{}", "" },
	{ "&&", "{}", "" },
	{ "limit=20&cursor=abc", "{\"limit\":20,\"cursor\":\"abc\"}", "" },
	{ "cursor=a%2Bb+c%26", "{\"cursor\":\"a+b c&\"}", "" },
	{ "%6Cimit=1", "{\"limit\":1}", "" },
	{ "cursor=", "{\"cursor\":\"\"}", "" },
	{ "cursor", "{\"cursor\":\"\"}", "" },
	{ "cursor=a=b", "{\"cursor\":\"a=b\"}", "" },
	{ "limit=-5", "{\"limit\":-5}", "" },

	{ "limit=", NULL, "limit" },
	{ "limit=x", NULL, "limit" },
	{ "limit=1.5", NULL, "limit" },
	{ "limit=1e2", NULL, "limit" },
	{ "limit=0x10", NULL, "limit" },
	{ "limit=+5", NULL, "limit" },
	{ "limit=%205", NULL, "limit" },
	{ "limit=5%20", NULL, "limit" },
	{ "limit=99999999999999999999", NULL, "limit" },
	{ "limit=1&limit=1", NULL, "limit" },
	{ "cursor=a&%63ursor=b", NULL, "cursor" },
	{ "offset=1", NULL, "offset" },
	{ "Limit=1", NULL, "Limit" },
	{ "=1", NULL, "" },
	{ "cursor=%", NULL, "cursor" },
	{ "cursor=%0", NULL, "cursor" },
	{ "cursor=%zz", NULL, "cursor" },
	{ "cursor=%00", NULL, "cursor" },
	{ "cursor=%ff", NULL, "cursor" },
	{ "cursor=%0a", NULL, "cursor" },
	{ "%ff=1", NULL, "" },
};

static void parameters_become_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(json) cJSON *fields = cJSON_CreateObject();
		OWN(json_text) char *text = NULL;
		struct err e = ERR_INIT;
		int r = query_add_fields(cases[i].query, &wire_list_req, fields, &e);

		print_message("  %s\n", cases[i].query ? cases[i].query : "(none)");
		assert_int_equal(r, cases[i].fields ? 0 : -1);
		assert_string_equal(e.field, cases[i].field);
		assert_int_equal(e.code, r ? ERR_INVALID : ERR_NONE);
		text = cJSON_PrintUnformatted(fields);
		if (r == 0)
			assert_string_equal(text, cases[i].fields);
	}
}

static void what_is_too_much_is_refused(void **state)
{
	static char query[8192] = "cursor=";
	OWN(json) cJSON *fields = cJSON_CreateObject();
	struct err e = ERR_INIT;

	(void)state;
	memset(query + 7, 'a', sizeof(query) - 8);
	assert_fails(query_add_fields(query, &wire_list_req, fields, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "cursor");
	memset(query, 'a', 200);
	assert_fails(query_add_fields(query, &wire_list_req, fields, &e), &e, ERR_INVALID);
	assert_string_equal(e.field, "");
}

static void one_parameter_is_found(void **state)
{
	char value[8];

	(void)state;
	assert_true(query_find("a=1&ticket=x%2Dy&b", "ticket", value, sizeof(value)));
	assert_string_equal(value, "x-y");
	assert_true(query_find("ticket=", "ticket", value, sizeof(value)));
	assert_false(query_find(NULL, "ticket", value, sizeof(value)));
	assert_false(query_find("tickets=x", "ticket", value, sizeof(value)));
	assert_false(query_find("ticket=x&ticket=x", "ticket", value, sizeof(value)));
	assert_false(query_find("ticket=12345678", "ticket", value, sizeof(value)));
	assert_false(query_find("ticket=%00", "ticket", value, sizeof(value)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_become_fields),
		cmocka_unit_test(what_is_too_much_is_refused),
		cmocka_unit_test(one_parameter_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
