#include "path.h"

#include "test.h"

#include <cjson/cJSON.h>

static const struct {
	const char *pattern, *path;
	const char *id, *rest; /* of a path that fits; both NULL: it does not */
} cases[] = {
	{ "/a/{id}", "/a/x", "x", "" },
	{ "/a/{id}", "/a/x%2Fy", "x/y", "" },
	{ "/a/{id}", "/a/x/y", NULL, NULL },
	{ "/a/{id}", "/a/", NULL, NULL },

	{ "/a/{id}/f/{rest*}", "/a/x/f/y", "x", "y" },
	{ "/a/{id}/f/{rest*}", "/a/x/f/y/z/SOUL.md", "x", "y/z/SOUL.md" },
	{ "/a/{id}/f/{rest*}", "/a/x/f/y%2Fz/%c3%a4", "x", "y/z/\xc3\xa4" },
	{ "/a/{id}/f/{rest*}", "/a/x/f/../%2e%2e", "x", "../.." },
	{ "/a/{id}/f/{rest*}", "/a/x/%66/y", "x", "y" },
	{ "/a/{id}/f/{rest*}", "/a/x/f", NULL, NULL },
	{ "/a/{id}/f/{rest*}", "/a/x/f/", NULL, NULL },
	{ "/a/{id}/f/{rest*}", "/a/x/f/y/", NULL, NULL },
	{ "/a/{id}/f/{rest*}", "/a/x/f//y", NULL, NULL },
	{ "/a/{id}/f/{rest*}", "/a/x/f/y//z", NULL, NULL },
	{ "/a/{id}/f/{rest*}", "/a/x/g/y", NULL, NULL },

	{ "/f/{rest*}/history", "/f/y/history", "", "y" },
	{ "/f/{rest*}/history", "/f/y/z/history", "", "y/z" },
	{ "/f/{rest*}/history", "/f/history/history", "", "history" },
	{ "/f/{rest*}/history", "/f/y/h%69story", "", "y" },
	{ "/f/{rest*}/history", "/f/history", NULL, NULL },
	{ "/f/{rest*}/history", "/f/y/z", NULL, NULL },
	{ "/f/{rest*}/history", "/f/y/history/", NULL, NULL },
	{ "/f/{rest*}/history", "/f//history", NULL, NULL },
	{ "/f/{rest*}/at/{id}", "/f/y/z/at/x", "x", "y/z" },
	{ "/f/{rest*}/at/{id}", "/f/at/x", NULL, NULL },
};

static int keep(const struct path_param *p, void *ctx, struct err *e)
{
	(void)e;
	cJSON_AddStringToObject(ctx, p->name, p->value);
	return 0;
}

static const char *text_of(const cJSON *found, const char *name)
{
	const cJSON *item = cJSON_GetObjectItem(found, name);

	return item ? item->valuestring : "";
}

static void a_rest_takes_what_the_pattern_leaves(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(json) cJSON *found = cJSON_CreateObject();
		struct err e = ERR_INIT;

		print_message("  %s %s\n", cases[i].pattern, cases[i].path);
		assert_int_equal(path_fits(cases[i].pattern, cases[i].path), cases[i].id != NULL);
		if (!cases[i].id)
			continue;
		assert_ok(path_params(cases[i].pattern, cases[i].path, keep, found, &e), &e);
		assert_string_equal(text_of(found, "id"), cases[i].id);
		assert_string_equal(text_of(found, "rest"), cases[i].rest);
	}
}

static void a_rest_that_cannot_be_read_is_named(void **state)
{
	static const char *const bad[] = { "/f/%", "/f/a/%00", "/f/a/%ff/b", "/f/a%0Ab" };
	static char path[PATH_REST_MAX + 8] = "/f/";

	(void)state;
	for (size_t i = 0; i <= COUNT(bad); i++) {
		OWN(json) cJSON *found = cJSON_CreateObject();
		struct err e = ERR_INIT;

		memset(path + 3, 'a', PATH_REST_MAX);
		assert_fails(
			path_params("/f/{rest*}", i < COUNT(bad) ? bad[i] : path, keep, found, &e),
			&e, ERR_INVALID);
		assert_string_equal(e.field, "rest");
		assert_int_equal(cJSON_GetArraySize(found), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rest_takes_what_the_pattern_leaves),
		cmocka_unit_test(a_rest_that_cannot_be_read_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
