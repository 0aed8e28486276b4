/*
 * The configs that we write, as the real OpenClaw judges them: the image OPENCLAW_IMAGE names, or
 * the pinned one. Without it there is nothing to ask.
 */

#include "integration/instance-manager/lab.h"

#define PINNED "zaki/openclaw:2026.9.6"
#define BOT    "7001:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"

static const char *image;

static const struct openclaw_provider own = { "acme", "key", "http://10.0.0.1:9/v1", 150000,
	                                      600000 };
static const struct openclaw_provider bare = { "acme", NULL, "https://llm.example/v1", 0, 0 };
static const struct openclaw_provider both[] = {
	{ "openai", "sk-1", NULL, 0, 0 }, { "acme", "key", "https://llm.example/v1", 0, 0 }
};

static int setup(void **state)
{
	struct err e = ERR_INIT;
	bool has_image = false;
	int r = lab_setup(state);

	image = getenv("OPENCLAW_IMAGE") ? getenv("OPENCLAW_IMAGE") : PINNED;
	assert_ok(engine_has_image(lab.engine, image, &has_image, &e), &e);
	if (!has_image) {
		print_message("  no image %s: nothing to ask\n", image);
		image = NULL;
	}
	return r;
}

/* Runs `openclaw config validate` over the instance's directory; answers its exit status. */
static int validate(const struct box *b)
{
	struct engine_state s = { .exit_code = -1 };
	char body[1024], path[160];

	snprintf(body, sizeof(body),
	         "{\"Image\":\"%s\",\"User\":\"1000:1000\",\"Cmd\":[\"openclaw\",\"config\","
	         "\"validate\"],\"Labels\":{\"" CONTAINER_LABEL_PLATFORM
	         "\":\"%s\",\"" CONTAINER_LABEL_INSTANCE
	         "\":\"%s\"},\"HostConfig\":{\"NetworkMode\":\"none\","
	         "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"%s/" USER "/%s/.openclaw\","
	         "\"Target\":\"/home/node/.openclaw\"}]}}",
	         image, lab.platform, b->id, lab.data, b->id);
	snprintf(path, sizeof(path), DOCKER_API "/containers/create?name=%s", b->name);
	assert_int_equal(raw_ask("POST", path, body), 201);
	assert_int_equal(start(b), ENGINE_IS_STARTED);
	for (int i = 0; i < 6000 && s.item.status != ENGINE_EXITED; i++) {
		clock_sleep_ms(50);
		s = inspect(b->name);
	}
	return s.exit_code;
}

static void validate_all(const struct openclaw_config *configs, const char *const *what,
                         size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *text = NULL, *said = NULL;
		struct err e = ERR_INIT;
		struct arena a;
		struct box b;

		print_message("  %s\n", what[i]);
		arena_init(&a, 1024 * 1024);
		box_make(&b, false);
		assert_ok(openclaw_config_text(&configs[i], &a, &text, &e), &e);
		assert_ok(files_write_config(lab.files, USER, b.id, text, NULL, &e), &e);
		if (validate(&b) != 0) {
			assert_ok(engine_logs_tail(lab.engine, b.name, 50, &a, &said, &e), &e);
			fail_msg("%s", said);
		}
		box_remove(&b);
		arena_done(&a);
	}
}

static void openclaw_takes_every_config_we_write(void **state)
{
	static const char *const what[] = {
		"an owner", "people who pair",
		"no key",   "a known provider beside another",
		"anybody",  "people who pair beside some who need not"
	};
	static const long long others[] = { 7, 8 };
	const struct openclaw_config usual = { .gateway_token = TOKEN,
		                               .bot_token = BOT,
		                               .telegram_api_url = "http://10.0.0.1:8081",
		                               .access = OPENCLAW_ALLOWLIST,
		                               .owner_telegram_id = 4242,
		                               .is_shared = true,
		                               .model = "acme/small-1",
		                               .providers = &own,
		                               .provider_count = 1 };
	struct openclaw_config configs[] = { usual, usual, usual, usual, usual, usual };

	(void)state;
	if (!image)
		skip();
	configs[1].access = OPENCLAW_PAIRING;
	configs[1].owner_telegram_id = 0;
	configs[1].telegram_api_url = NULL;
	configs[2].providers = &bare;
	configs[3].providers = both;
	configs[3].provider_count = COUNT(both);
	configs[3].model = "openai/gpt-5.5";
	configs[4].access = OPENCLAW_OPEN;
	configs[4].is_shared = false;
	configs[5].access = OPENCLAW_PAIRING;
	configs[5].allowed = others;
	configs[5].allowed_count = COUNT(others);
	validate_all(configs, what, COUNT(configs));
}

/* Each provider that is offered without an address is one that this OpenClaw has with it. */
static void openclaw_knows_every_provider_that_we_do(void **state)
{
	static const char *const names[] = { "anthropic",    "google", "huggingface", "nvidia",
		                             "ollama-cloud", "openai", "opencode-go", "openrouter",
		                             "together",     "xai" };
	const size_t half = COUNT(names) / 2;

	(void)state;
	if (!image)
		skip();
	for (size_t from = 0; from < COUNT(names); from += half) {
		struct openclaw_provider some[COUNT(names) / 2];
		struct openclaw_config in = { .gateway_token = TOKEN,
			                      .bot_token = BOT,
			                      .providers = some,
			                      .provider_count = half };
		char model[64];

		for (size_t i = 0; i < half; i++) {
			assert_true(openclaw_provider_is_known(names[from + i]));
			some[i] =
				(struct openclaw_provider){ names[from + i], "key-1", NULL, 0, 0 };
		}
		snprintf(model, sizeof(model), "%s/some-model", names[from]);
		in.model = model;
		validate_all(&in, &names[from], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openclaw_takes_every_config_we_write),
		cmocka_unit_test(openclaw_knows_every_provider_that_we_do),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests_name("openclaw_config_real", tests, setup, lab_teardown);
}
