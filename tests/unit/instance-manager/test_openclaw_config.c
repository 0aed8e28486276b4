#include "openclaw_config.h"

#include "base/json.h"
#include "test.h"

#define BOT     "7001:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
#define GATEWAY "0123456789abcdef0123456789abcdef"

static const struct openclaw_provider own = { "acme", "key-1", "https://llm.example/v1", 0, 0 };
static const struct openclaw_provider openai = { "openai", "sk-1", NULL, 0, 0 };

static struct openclaw_config usual(void)
{
	return (struct openclaw_config){
		.gateway_token = GATEWAY,
		.bot_token = BOT,
		.access = OPENCLAW_ALLOWLIST,
		.owner_telegram_id = 4242,
		.is_shared = true,
		.model = "acme/small-1",
		.providers = &own,
		.provider_count = 1,
	};
}

/* The member's JSON by a dotted path; NULL: absent. */
static char *at(const char *text, const char *path)
{
	struct err e = ERR_INIT;
	OWN(json) cJSON *doc = NULL;
	const cJSON *v;
	char part[64];

	assert_ok(json_parse(text, strlen(text), &doc, &e), &e);
	v = doc;
	while (v && *path) {
		size_t len = strcspn(path, ".");

		assert_true(len < sizeof(part));
		memcpy(part, path, len);
		part[len] = 0;
		v = cJSON_GetObjectItemCaseSensitive(v, part);
		path += len + (path[len] == '.');
	}
	return v ? cJSON_PrintUnformatted(v) : NULL;
}

static void expect(const struct openclaw_config *in, const char *path, const char *want)
{
	const char *text = NULL;
	struct err e = ERR_INIT;
	struct arena a;
	char *found;

	print_message("  %s\n", path);
	arena_init(&a, 64 * 1024);
	assert_ok(openclaw_config_text(in, &a, &text, &e), &e);
	found = at(text, path);
	if (want)
		assert_string_equal(found, want);
	else
		assert_null(found);
	cJSON_free(found);
	arena_done(&a);
}

static void config_is_as_openclaw_wants_it(void **state)
{
	struct openclaw_config in = usual();

	(void)state;
	expect(&in, "gateway.mode", "\"local\"");
	expect(&in, "gateway.port", "18789");
	expect(&in, "gateway.bind", "\"lan\"");
	expect(&in, "gateway.auth", "{\"mode\":\"token\",\"token\":\"" GATEWAY "\"}");
	expect(&in, "plugins.entries.admin-http-rpc.enabled", "true");
	expect(&in, "channels.telegram.enabled", "true");
	expect(&in, "channels.telegram.botToken", "\"" BOT "\"");
	expect(&in, "channels.telegram.apiRoot", NULL);
	expect(&in, "agents.defaults.workspace", "\"/home/node/workspace\"");
	expect(&in, "agents.defaults.model.primary", "\"acme/small-1\"");
	expect(&in, "update.checkOnStart", "false");
	expect(&in, "agent", NULL); /* the seed's key, which is refused */

	in.telegram_api_url = "";
	expect(&in, "channels.telegram.apiRoot", NULL);
	in.telegram_api_url = "http://10.0.0.1:8081";
	expect(&in, "channels.telegram.apiRoot", "\"http://10.0.0.1:8081\"");
}

static void those_may_write_who_are_let_in(void **state)
{
	static const long long others[] = { 7, 8 };
	struct openclaw_config in = usual();

	(void)state;
	expect(&in, "channels.telegram.dmPolicy", "\"allowlist\"");
	expect(&in, "channels.telegram.allowFrom", "[\"4242\"]");
	expect(&in, "session.dmScope", "\"main\"");

	in.allowed = others;
	in.allowed_count = COUNT(others);
	expect(&in, "channels.telegram.allowFrom", "[\"4242\",\"7\",\"8\"]");

	in.access = OPENCLAW_PAIRING;
	in.is_shared = false;
	expect(&in, "channels.telegram.dmPolicy", "\"pairing\"");
	expect(&in, "channels.telegram.allowFrom", "[\"4242\",\"7\",\"8\"]");
	expect(&in, "session.dmScope", "\"per-channel-peer\"");

	in.owner_telegram_id = 0;
	in.allowed_count = 0;
	expect(&in, "channels.telegram.allowFrom", NULL);

	/* While others read the bot's messages. */
	in.is_awaiting_owner = true;
	expect(&in, "channels.telegram.enabled", "false");
	in.is_awaiting_owner = false;

	in.access = OPENCLAW_OPEN;
	expect(&in, "channels.telegram.dmPolicy", "\"open\"");
	expect(&in, "channels.telegram.allowFrom", "[\"*\"]");
}

static void a_model_costs_what_its_provider_asks(void **state)
{
	struct openclaw_provider priced = own;
	struct openclaw_config in = usual();
	const char *text = NULL;
	struct err e = ERR_INIT;
	OWN(arena) struct arena a = { .limit = 65536 };

	(void)state;
	in.providers = &priced;
	assert_ok(openclaw_config_text(&in, &a, &text, &e), &e);
	assert_null(strstr(text, "cost"));
	priced.input_price_micros = 150000;
	priced.output_price_micros = 2000000;
	assert_ok(openclaw_config_text(&in, &a, &text, &e), &e);
	assert_non_null(strstr(text, "\"cost\":{\"input\":0.15,\"output\":2,\"cacheRead\":0,"
	                             "\"cacheWrite\":0}"));
}

static void provider_is_declared_as_far_as_openclaw_needs(void **state)
{
	struct openclaw_provider bare = { "acme", "", "http://10.0.0.1:9/v1", 0, 0 };
	struct openclaw_provider both[] = { openai, own };
	struct openclaw_config in = usual();

	(void)state;
	expect(&in, "models.providers.acme",
	       "{\"agentRuntime\":{\"id\":\"openclaw\"},\"apiKey\":\"key-1\",\"baseUrl\":"
	       "\"https://llm.example/v1\",\"api\":\"openai-completions\",\"models\":[{\"id\":"
	       "\"small-1\",\"name\":\"small-1\",\"contextWindow\":128000}]}");

	in.providers = &bare;
	expect(&in, "models.providers.acme.apiKey", "\"none\"");

	in.providers = &openai;
	in.model = "openai/gpt-5.5";
	expect(&in, "models.providers.openai",
	       "{\"agentRuntime\":{\"id\":\"openclaw\"},\"apiKey\":\"sk-1\"}");

	in.providers = both;
	in.provider_count = 2;
	expect(&in, "models.providers.openai.baseUrl", NULL);
	expect(&in, "models.providers.acme.models", "[]");
	in.model = "acme/vendor/model:7b";
	expect(&in, "models.providers.acme.models",
	       "[{\"id\":\"vendor/model:7b\",\"name\":\"vendor/"
	       "model:7b\",\"contextWindow\":128000}]");
}

static void same_input_gives_same_bytes(void **state)
{
	struct openclaw_config in = usual();
	const char *one = NULL, *two = NULL;
	struct err e = ERR_INIT;
	struct arena a;

	(void)state;
	arena_init(&a, 128 * 1024);
	assert_ok(openclaw_config_text(&in, &a, &one, &e), &e);
	assert_ok(openclaw_config_text(&in, &a, &two, &e), &e);
	assert_string_equal(one, two);
	arena_done(&a);
}

static void models_are_checked(void **state)
{
	static const struct {
		const char *model;
		bool fits;
	} cases[] = {
		{ "openai/gpt-5.5", true },   { "openrouter/meta-llama/llama-3.1:free", true },
		{ "vendor.x_y-z/m@1", true }, { "", false },
		{ "gpt-5.5", false },         { "/gpt-5.5", false },
		{ "openai/", false },         { "OpenAI/gpt", false },
		{ "-openai/gpt", false },     { "open ai/gpt", false },
		{ "openai/gpt 5", false },    { "openai/${HOME}", false },
		{ "openai/\xc3\xa4", false },
	};
	char longest[260] = "openai/";

	(void)state;
	memset(longest + 7, 'a', 250);
	for (size_t i = 0; i <= COUNT(cases); i++) {
		const char *model = i < COUNT(cases) ? cases[i].model : longest;
		struct err e = ERR_INIT;
		int r = openclaw_model_check(model, &e);

		print_message("  '%.40s'\n", model);
		assert_int_equal(r, i < COUNT(cases) && cases[i].fits ? 0 : -1);
		assert_string_equal(e.field, r ? "model" : "");
	}
}

static const struct {
	const char *what, *model;
	struct openclaw_provider providers[2];
	size_t count;
	const char *field;
} refused[] = {
	{ "no provider", "acme/m", { { 0 } }, 0, "model" },
	{ "model of another", "other/m", { { "acme", "k", "https://x/v1", 0, 0 } }, 1, "model" },
	{ "model of a longer name",
	  "acme2/m",
	  { { "acme", "k", "https://x/v1", 0, 0 } },
	  1,
	  "model" },
	{ "twice",
	  "acme/m",
	  { { "acme", "k", "https://x/v1", 0, 0 }, { "acme", "k", "https://x/v1", 0, 0 } },
	  2,
	  "provider.name" },
	{ "no name", "acme/m", { { "", "k", "https://x/v1", 0, 0 } }, 1, "provider.name" },
	{ "name with capitals",
	  "acme/m",
	  { { "Acme", "k", "https://x/v1", 0, 0 } },
	  1,
	  "provider.name" },
	{ "name with a slash",
	  "acme/m",
	  { { "ac/me", "k", "https://x/v1", 0, 0 } },
	  1,
	  "provider.name" },
	{ "a path for a name",
	  "acme/m",
	  { { "../acme", "k", "https://x/v1", 0, 0 } },
	  1,
	  "provider.name" },
	{ "unknown, no address",
	  "acme/m",
	  { { "acme", "k", NULL, 0, 0 } },
	  1,
	  "provider.base_url" },
	{ "a plugin's, no address",
	  "groq/m",
	  { { "groq", "k", "", 0, 0 } },
	  1,
	  "provider.base_url" },
	{ "known, with a price",
	  "openai/m",
	  { { "openai", "k", NULL, 1, 0 } },
	  1,
	  "provider.input_price_micros" },
	{ "known, with the other price",
	  "openai/m",
	  { { "openai", "k", NULL, 0, 1 } },
	  1,
	  "provider.output_price_micros" },
	{ "known, no key", "openai/m", { { "openai", NULL, NULL, 0, 0 } }, 1, "provider.api_key" },
	{ "key asks for environment",
	  "openai/m",
	  { { "openai", "${PATH}", NULL, 0, 0 } },
	  1,
	  "provider.api_key" },
	{ "key with a space",
	  "openai/m",
	  { { "openai", "a b", NULL, 0, 0 } },
	  1,
	  "provider.api_key" },
	{ "key with a line break",
	  "openai/m",
	  { { "openai", "a\nb", NULL, 0, 0 } },
	  1,
	  "provider.api_key" },
	{ "address of a file",
	  "acme/m",
	  { { "acme", "k", "file:///etc/passwd", 0, 0 } },
	  1,
	  "provider.base_url" },
	{ "address asks",
	  "acme/m",
	  { { "acme", "k", "https://${HOST}/v1", 0, 0 } },
	  1,
	  "provider.base_url" },
};

static void what_openclaw_would_refuse_is_refused_by_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct openclaw_config in = usual();
		const char *text = NULL;
		struct err e = ERR_INIT;
		struct arena a;

		print_message("  %s\n", refused[i].what);
		in.model = refused[i].model;
		in.providers = refused[i].providers;
		in.provider_count = refused[i].count;
		arena_init(&a, 64 * 1024);
		assert_fails(openclaw_config_text(&in, &a, &text, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, refused[i].field);
		assert_null(text);
		arena_done(&a);
	}
}

static void largest_config_fits(void **state)
{
	struct openclaw_provider many[OPENCLAW_PROVIDERS_MAX + 1];
	char name[OPENCLAW_PROVIDERS_MAX + 1][8], key[513], url[513] = "https://";
	struct openclaw_config in = usual();
	const char *text = NULL;
	struct err e = ERR_INIT;
	struct arena a;

	(void)state;
	memset(key, '"', sizeof(key) - 1); /* two bytes each in JSON */
	key[sizeof(key) - 1] = 0;
	memset(url + 8, '"', sizeof(url) - 9);
	url[sizeof(url) - 1] = 0;
	for (size_t i = 0; i < COUNT(many); i++) {
		snprintf(name[i], sizeof(name[i]), "p%zu", i);
		many[i] = (struct openclaw_provider){ name[i], key, url, 0, 0 };
	}
	in.model = "p0/m";
	in.providers = many;
	in.provider_count = OPENCLAW_PROVIDERS_MAX;
	arena_init(&a, 64 * 1024);
	assert_ok(openclaw_config_text(&in, &a, &text, &e), &e);
	in.provider_count++;
	assert_fails(openclaw_config_text(&in, &a, &text, &e), &e, ERR_INVALID);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_is_as_openclaw_wants_it),
		cmocka_unit_test(those_may_write_who_are_let_in),
		cmocka_unit_test(a_model_costs_what_its_provider_asks),
		cmocka_unit_test(provider_is_declared_as_far_as_openclaw_needs),
		cmocka_unit_test(same_input_gives_same_bytes),
		cmocka_unit_test(models_are_checked),
		cmocka_unit_test(what_openclaw_would_refuse_is_refused_by_field),
		cmocka_unit_test(largest_config_fits),
	};

	return cmocka_run_group_tests_name("openclaw_config", tests, NULL, NULL);
}
