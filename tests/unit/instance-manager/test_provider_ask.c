#include "provider/ask.h"

#include "test.h"

static const struct {
	const char *what, *text;
	const char *ids; /* joined by spaces; NULL: no list of models */
} cases[] = {
	{ "as OpenAI", "{\"object\":\"list\",\"data\":[{\"id\":\"b\"},{\"id\":\"a\"}]}",
	  "p/a p/b" },
	{ "as Google", "{\"models\":[{\"name\":\"models/gemini-3\"}]}", "p/gemini-3" },
	{ "a bare list", "[{\"id\":\"org/m:free\"}]", "p/org/m:free" },
	{ "none", "{\"data\":[]}", "" },
	{ "one twice", "{\"data\":[{\"id\":\"a\"},{\"id\":\"a\"}]}", "p/a" },
	{ "ids that are none",
	  "{\"data\":[{\"id\":\"a b\"},{\"id\":7},{},7,null,{\"id\":\"\"},{\"id\":\"c\"}]}",
	  "p/c" },
	{ "a page", "<html>", NULL },
	{ "an object", "{\"error\":{}}", NULL },
	{ "no list", "{\"data\":{}}", NULL },
	{ "nothing", "", NULL },
};

static void a_list_of_models_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(arena) struct arena a = { .limit = 1 << 20 };
		struct provider_models m = { 0 };
		char joined[256] = "";
		bool is_list;

		print_message("  %s\n", cases[i].what);
		is_list = provider_models_read("p", cases[i].text, strlen(cases[i].text), &a, &m);
		assert_int_equal(is_list, cases[i].ids != NULL);
		for (size_t k = 0; is_list && k < m.count; k++)
			snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s",
			         k ? " " : "", m.ids[k]);
		if (is_list)
			assert_string_equal(joined, cases[i].ids);
	}
}

static void of_very_many_the_first_are_kept(void **state)
{
	OWN(arena) struct arena a = { .limit = 1 << 20 };
	OWN(json) cJSON *doc = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(doc, "data");
	struct provider_models m = { 0 };

	(void)state;
	for (int i = 0; i < PROVIDER_MODELS_MAX + 10; i++) {
		cJSON *item = cJSON_CreateObject();
		char id[16];

		snprintf(id, sizeof(id), "m%d", i);
		cJSON_AddStringToObject(item, "id", id);
		cJSON_AddItemToArray(list, item);
	}
	{
		OWN(json_text) char *text = cJSON_PrintUnformatted(doc);

		assert_true(provider_models_read("p", text, strlen(text), &a, &m));
	}
	assert_int_equal(m.count, PROVIDER_MODELS_MAX);
}

static void every_known_provider_has_an_address(void **state)
{
	static const char *const names[] = { "anthropic",    "google", "huggingface", "nvidia",
		                             "ollama-cloud", "openai", "opencode-go", "openrouter",
		                             "together",     "xai" };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_true(openclaw_provider_is_known(names[i]));
		assert_true(provider_has_address(names[i]));
	}
	assert_false(provider_has_address("mine"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_models_is_read),
		cmocka_unit_test(of_very_many_the_first_are_kept),
		cmocka_unit_test(every_known_provider_has_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
