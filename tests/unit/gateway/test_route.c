#include "route.h"

#include "test.h"

#define ID "33333333-3333-4333-8333-333333333333"

static const struct {
	const char *method, *path;
	enum err_code code;  /* ERR_NONE: found */
	const char *pattern; /* of the route, or what is allowed */
} cases[] = {
	{ "GET", "/api/users/me", ERR_NONE, "/users/me" },
	{ "GET", "/v1/users/me", ERR_NONE, "/users/me" },
	{ "HEAD", "/api/users/me", ERR_NONE, "/users/me" },
	{ "POST", "/api/instances/" ID "/stop", ERR_NONE, "/instances/{instance_id}/stop" },
	{ "GET", "/api/instances/x", ERR_NONE, "/instances/{instance_id}" },
	{ "GET", "/api/%69nstances", ERR_NONE, "/instances" },
	{ "GET", "/api/instances/a%2Fb", ERR_NONE, "/instances/{instance_id}" },
	{ "GET", "/health", ERR_NONE, "/health" },
	{ "GET", "/api/health", ERR_NONE, "/health" },
	{ "GET", "/v1/health", ERR_NONE, "/health" },

	{ "PUT", "/api/users/me", ERR_METHOD, "GET, HEAD, PATCH, DELETE, OPTIONS" },
	{ "OPTIONS", "/api/auth/login", ERR_METHOD, "POST, OPTIONS" },
	{ "get", "/api/users/me", ERR_METHOD, "GET, HEAD, PATCH, DELETE, OPTIONS" },

	{ "GET", "/users/me", ERR_NOT_FOUND, "" },
	{ "GET", "/", ERR_NOT_FOUND, "" },
	{ "GET", "", ERR_NOT_FOUND, "" },
	{ "GET", "/api", ERR_NOT_FOUND, "" },
	{ "GET", "/api/", ERR_NOT_FOUND, "" },
	{ "GET", "/api/users/me/", ERR_NOT_FOUND, "" },
	{ "GET", "/api//users/me", ERR_NOT_FOUND, "" },
	{ "GET", "/api/users/me/x", ERR_NOT_FOUND, "" },
	{ "GET", "/api/users/../users/me", ERR_NOT_FOUND, "" },
	{ "GET", "/api/v1/users/me", ERR_NOT_FOUND, "" },
	{ "GET", "/API/users/me", ERR_NOT_FOUND, "" },
	{ "GET", "/api/users%2Fme", ERR_NOT_FOUND, "" },
	{ "GET", "/api/users/me%00", ERR_NOT_FOUND, "" },
	{ "GET", "/api/users/m%", ERR_NOT_FOUND, "" },
	{ "GET", "/api/users/m%zz", ERR_NOT_FOUND, "" },
	{ "GET", "/api/instances//stop", ERR_NOT_FOUND, "" },
	{ "GET", "/apiusers/me", ERR_NOT_FOUND, "" },
};

static void a_path_has_its_route(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct route *r = NULL;
		const char *path = NULL;
		char allow[ROUTE_ALLOW_SIZE];
		struct err e = ERR_INIT;
		int result = route_find(cases[i].method, cases[i].path, &r, &path, allow, &e);

		print_message("  %s %s\n", cases[i].method, cases[i].path);
		assert_int_equal(result, cases[i].code == ERR_NONE ? 0 : -1);
		assert_int_equal(e.code, cases[i].code);
		assert_string_equal(r ? r->path : allow, cases[i].pattern);
	}
}

static void a_path_as_long_as_a_header_is_not_found(void **state)
{
	static char path[20000];
	const struct route *r = NULL;
	const char *under = NULL;
	char allow[ROUTE_ALLOW_SIZE];
	struct err e = ERR_INIT;

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	memcpy(path, "/api/", 5);
	assert_fails(route_find("GET", path, &r, &under, allow, &e), &e, ERR_NOT_FOUND);
}

static int add_params(const char *path, const char *body, cJSON **ret, struct err *e)
{
	const struct route *r = NULL;
	const char *under = NULL;
	char allow[ROUTE_ALLOW_SIZE];

	*ret = cJSON_Parse(body);
	assert_ok(route_find("GET", path, &r, &under, allow, e), e);
	return route_add_params(r, under, *ret, e);
}

static void path_parameter_wins_over_body(void **state)
{
	OWN(json) cJSON *fields = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(add_params("/api/instances/" ID, "{\"instance_id\":\"other\",\"a\":1}", &fields,
	                     &e),
	          &e);
	assert_string_equal(cJSON_GetObjectItem(fields, "instance_id")->valuestring, ID);
	assert_int_equal(cJSON_GetArraySize(fields), 2);
}

static void a_parameter_is_decoded_once(void **state)
{
	static const struct {
		const char *path, *value; /* NULL: refused, naming it */
	} params[] = {
		{ "/api/instances/a%2Fb", "a/b" },    { "/api/instances/%2541", "%41" },
		{ "/api/instances/a+b", "a+b" },      { "/api/instances/%c3%a4", "\xc3\xa4" },
		{ "/api/instances/%", NULL },         { "/api/instances/%4", NULL },
		{ "/api/instances/%00", NULL },       { "/api/instances/a%0Ab", NULL },
		{ "/api/instances/%ff", NULL },       { "/api/instances/%c0%af", NULL },
		{ "/api/instances/%ed%a0%80", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(params); i++) {
		OWN(json) cJSON *fields = NULL;
		struct err e = ERR_INIT;
		int r = add_params(params[i].path, "{}", &fields, &e);

		print_message("  %s\n", params[i].path);
		assert_int_equal(r, params[i].value ? 0 : -1);
		assert_string_equal(e.field, params[i].value ? "" : "instance_id");
		if (params[i].value)
			assert_string_equal(cJSON_GetObjectItem(fields, "instance_id")->valuestring,
			                    params[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_has_its_route),
		cmocka_unit_test(a_path_as_long_as_a_header_is_not_found),
		cmocka_unit_test(path_parameter_wins_over_body),
		cmocka_unit_test(a_parameter_is_decoded_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
