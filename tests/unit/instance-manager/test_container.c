#include "container.h"

#include "base/json.h"
#include "test.h"

#define INSTANCE "11111111-2222-4333-8444-555555555555"
#define USER     "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define PLATFORM "99999999-8888-4777-8666-555555555555"
#define TRIAL    "77777777-2222-4333-8444-555555555555"
#define DATA     "/srv/zaki/" USER "/" INSTANCE

static struct container_spec usual(void)
{
	return (struct container_spec){
		.instance_id = INSTANCE,
		.user_id = USER,
		.platform_id = PLATFORM,
		.trace_id = "0af7651916cd43dd8448eb211c80319c",
		.image = "zaki/openclaw:2026.9.6",
		.data_dir = "/srv/zaki",
		.network = "zaki",
		.reach = CONTAINER_REACH_HOST,
		.port = 20000,
		.memory_mib = 2048,
		.stop_grace_s = 10,
	};
}

static cJSON *made(const struct container_spec *s, struct arena *a)
{
	struct err e = ERR_INIT;
	const char *text = NULL;
	cJSON *doc = NULL;

	assert_ok(container_json(s, a, &text, &e), &e);
	assert_ok(json_parse(text, strlen(text), &doc, &e), &e);
	return doc;
}

/* "HostConfig/Mounts/0/Source" */
static const cJSON *at(const cJSON *doc, const char *path)
{
	char part[64];

	while (doc && *path) {
		size_t len = strcspn(path, "/");

		assert_true(len < sizeof(part));
		memcpy(part, path, len);
		part[len] = 0;
		doc = cJSON_IsArray(doc) ? cJSON_GetArrayItem(doc, (int)strtol(part, NULL, 10))
		                         : cJSON_GetObjectItemCaseSensitive(doc, part);
		path += len + (path[len] == '/');
	}
	return doc;
}

static void container_is_as_promised(void **state)
{
	static const struct {
		const char *path, *want;
	} cases[] = {
		{ "Image", "\"zaki/openclaw:2026.9.6\"" },
		{ "User", "\"1000:1000\"" },
		{ "StopTimeout", "10" },
		{ "Hostname", "\"openclaw\"" },
		{ "Labels/zaki.instance", "\"" INSTANCE "\"" },
		{ "Labels/zaki.user", "\"" USER "\"" },
		{ "Labels/zaki.platform", "\"" PLATFORM "\"" },
		{ "Labels/zaki.trace", "\"0af7651916cd43dd8448eb211c80319c\"" },
		{ "ExposedPorts/18789|tcp", "{}" },
		{ "HostConfig/Memory", "2147483648" },
		{ "HostConfig/MemorySwap", "2147483648" },
		{ "HostConfig/CpuShares", "1024" },
		{ "HostConfig/PidsLimit", "512" },
		{ "HostConfig/CapDrop", "[\"ALL\"]" },
		{ "HostConfig/CapAdd", NULL },
		{ "HostConfig/Privileged", NULL },
		{ "HostConfig/SecurityOpt", "[\"no-new-privileges\"]" },
		{ "HostConfig/Init", "true" },
		{ "HostConfig/ReadonlyRootfs", "true" },
		{ "HostConfig/NetworkMode", "\"zaki\"" },
		{ "HostConfig/RestartPolicy/Name", "\"unless-stopped\"" },
		{ "HostConfig/LogConfig/Type", "\"json-file\"" },
		{ "HostConfig/LogConfig/Config/max-size", "\"10m\"" },
		{ "HostConfig/LogConfig/Config/max-file", "\"3\"" },
		{ "HostConfig/Ulimits/0/Name", "\"nofile\"" },
		{ "HostConfig/Mounts/0/Type", "\"bind\"" },
		{ "HostConfig/Mounts/0/Source", "\"" DATA "/.openclaw\"" },
		{ "HostConfig/Mounts/0/Target", "\"/home/node/.openclaw\"" },
		{ "HostConfig/Mounts/1/Source", "\"" DATA "/workspace\"" },
		{ "HostConfig/Mounts/1/Target", "\"/home/node/workspace\"" },
		{ "HostConfig/Mounts/2", NULL },
		{ "HostConfig/PortBindings",
		  "{\"18789/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"20000\"}]}" },
	};
	struct container_spec s = usual();
	struct arena a;
	cJSON *doc;

	(void)state;
	arena_init(&a, 65536);
	doc = made(&s, &a);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const cJSON *v = strcmp(cases[i].path, "ExposedPorts/18789|tcp") == 0
		                         ? cJSON_GetObjectItemCaseSensitive(at(doc, "ExposedPorts"),
		                                                            "18789/tcp")
		                         : at(doc, cases[i].path);
		char *text = v ? cJSON_PrintUnformatted(v) : NULL;

		print_message("  %s\n", cases[i].path);
		if (cases[i].want)
			assert_string_equal(text, cases[i].want);
		else
			assert_null(text);
		cJSON_free(text);
	}
	cJSON_Delete(doc);
	arena_done(&a);
}

static void port_is_published_only_for_the_host(void **state)
{
	struct container_spec s = usual();
	struct arena a;
	cJSON *doc;

	(void)state;
	s.reach = CONTAINER_REACH_NETWORK;
	s.port = 0;
	arena_init(&a, 65536);
	doc = made(&s, &a);
	assert_int_equal(cJSON_GetArraySize(at(doc, "HostConfig/PortBindings")), 0);
	cJSON_Delete(doc);
	arena_done(&a);
}

/* Started from files that were restored beside the instance's: no network, nobody reaches it, and nobody
 * takes it for the instance's own. */
static void trial_is_alone(void **state)
{
	static const struct {
		const char *path, *want; /* NULL: not there */
	} cases[] = {
		{ "HostConfig/NetworkMode", "none" },
		{ "HostConfig/PortBindings", NULL },
		{ "ExposedPorts", NULL },
		{ "HostConfig/RestartPolicy/Name", "no" },
		{ "HostConfig/Mounts/0/Source", "/srv/zaki/.scratch/trial-" TRIAL "/.openclaw" },
		{ "HostConfig/Mounts/1/Source", "/srv/zaki/.scratch/trial-" TRIAL "/workspace" },
		{ "HostConfig/Mounts/1/Target", "/home/node/workspace" },
		{ "Labels/" CONTAINER_LABEL_TRIAL, TRIAL },
		{ "Labels/" CONTAINER_LABEL_TRIAL_OF, INSTANCE },
		{ "Labels/" CONTAINER_LABEL_INSTANCE, NULL },
		{ "Labels/" CONTAINER_LABEL_USER, NULL },
		{ "Labels/" CONTAINER_LABEL_PLATFORM, PLATFORM },
		{ "Healthcheck/Test/1", "node" },
	};
	struct container_spec s = usual();
	struct arena a;
	cJSON *doc;

	(void)state;
	s.trial_id = TRIAL;
	s.port = 0; /* of no use to it */
	arena_init(&a, 65536);
	doc = made(&s, &a);
	for (size_t i = 0; i < COUNT(cases); i++) {
		print_message("  %s\n", cases[i].path);
		if (cases[i].want)
			assert_string_equal(cJSON_GetStringValue(at(doc, cases[i].path)),
			                    cases[i].want);
		else
			assert_null(at(doc, cases[i].path));
	}
	assert_true(at(doc, "HostConfig/Memory")->valuedouble == 2048.0 * 1024 * 1024);
	cJSON_Delete(doc);
	arena_done(&a);
}

static void trials_are_known_by_their_names(void **state)
{
	char name[CONTAINER_NAME_SIZE], id[UUID_SIZE];

	(void)state;
	assert_string_equal(container_trial_name(TRIAL, name), "zaki-trial-" TRIAL);
	assert_true(container_trial_from(name, id));
	assert_string_equal(id, TRIAL);
	assert_false(container_trial_from("zaki-user-" INSTANCE, id));
	assert_false(container_trial_from("zaki-trial-", id));
	assert_false(container_trial_from("zaki-trial-" TRIAL "x", id));
	assert_false(container_trial_from("", id));
}

/* What takes a new container changes the digest; what does not leaves it. */
static void digest_is_of_what_takes_a_new_container(void **state)
{
	struct container_spec base = usual(), s;
	char first[CONTAINER_SPEC_SIZE], now[CONTAINER_SPEC_SIZE];
	struct err e = ERR_INIT;
	const struct {
		const char *what;
		struct container_spec spec;
		bool is_same;
	} cases[] = {
		{ "the same", base, true },
		{ "another trace", (s = base, s.trace_id = "ffff", s), true },
		{ "no trace", (s = base, s.trace_id = NULL, s), true },
		{ "other memory", (s = base, s.memory_mib = 4096, s), true },
		{ "another grace", (s = base, s.stop_grace_s = 20, s), true },
		{ "another image", (s = base, s.image = "zaki/openclaw:2026.10.1", s), false },
		{ "another port", (s = base, s.port = 20001, s), false },
		{ "another network", (s = base, s.network = "other", s), false },
		{ "another directory", (s = base, s.data_dir = "/srv/other", s), false },
		{ "another reach", (s = base, s.reach = CONTAINER_REACH_NETWORK, s), false },
		{ "another platform", (s = base, s.platform_id = USER, s), false },
	};

	(void)state;
	assert_ok(container_spec_digest(&base, first, &e), &e);
	assert_int_equal(strlen(first), CONTAINER_SPEC_SIZE - 1);
	for (size_t i = 0; i < COUNT(cases); i++) {
		print_message("  %s\n", cases[i].what);
		assert_ok(container_spec_digest(&cases[i].spec, now, &e), &e);
		assert_int_equal(strcmp(first, now) == 0, cases[i].is_same);
	}
}

static void digest_is_the_label(void **state)
{
	struct container_spec s = usual();
	char digest[CONTAINER_SPEC_SIZE];
	struct err e = ERR_INIT;
	struct arena a;
	cJSON *doc;

	(void)state;
	arena_init(&a, 65536);
	doc = made(&s, &a);
	assert_ok(container_spec_digest(&s, digest, &e), &e);
	assert_string_equal(json_text(at(doc, "Labels"), CONTAINER_LABEL_SPEC), digest);
	cJSON_Delete(doc);
	arena_done(&a);
}

static void environment_holds_no_secret(void **state)
{
	struct container_spec s = usual();
	const cJSON *v;
	struct arena a;
	cJSON *doc;

	(void)state;
	arena_init(&a, 65536);
	doc = made(&s, &a);
	cJSON_ArrayForEach(v, at(doc, "Env")) {
		assert_null(strcasestr(v->valuestring, "token"));
		assert_null(strcasestr(v->valuestring, "key"));
	}
	assert_int_equal(cJSON_GetArraySize(at(doc, "Env")), 3);
	cJSON_Delete(doc);
	arena_done(&a);
}

static void nonsense_is_refused(void **state)
{
	struct container_spec base = usual(), s;
	const struct {
		const char *what;
		struct container_spec spec;
		enum err_code code;
		const char *field;
	} cases[] = {
		{ "relative directory", (s = base, s.data_dir = "data", s), ERR_INVALID,
		  "DATA_DIR" },
		{ "no port", (s = base, s.port = 0, s), ERR_INTERNAL, "" },
		{ "port too large", (s = base, s.port = 65536, s), ERR_INTERNAL, "" },
		{ "no memory", (s = base, s.memory_mib = 0, s), ERR_INTERNAL, "" },
		{ "no grace", (s = base, s.stop_grace_s = 0, s), ERR_INTERNAL, "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *text = NULL;
		struct err e = ERR_INIT;
		struct arena a;

		print_message("  %s\n", cases[i].what);
		arena_init(&a, 65536);
		assert_fails(container_json(&cases[i].spec, &a, &text, &e), &e, cases[i].code);
		assert_string_equal(e.field, cases[i].field);
		assert_null(text);
		arena_done(&a);
	}
}

static void too_small_an_arena_is_a_failure(void **state)
{
	struct container_spec s = usual();

	(void)state;
	for (size_t limit = 0; limit < 4096; limit += 97) {
		const char *text = NULL;
		struct err e = ERR_INIT;
		struct arena a;

		arena_init(&a, limit);
		if (container_json(&s, &a, &text, &e) < 0)
			assert_int_equal(e.code, ERR_INTERNAL);
		else
			assert_non_null(text);
		arena_done(&a);
	}
}

static void names_come_from_ids(void **state)
{
	char name[CONTAINER_NAME_SIZE];
	enum container_reach reach;
	struct arena a;

	(void)state;
	arena_init(&a, 4096);
	assert_string_equal(container_name(INSTANCE, name), "zaki-user-" INSTANCE);
	assert_string_equal(container_path("/srv/zaki", USER, INSTANCE, "workspace", &a),
	                    DATA "/workspace");
	assert_true(container_reach_from("host", &reach) && reach == CONTAINER_REACH_HOST);
	assert_true(container_reach_from("network", &reach) && reach == CONTAINER_REACH_NETWORK);
	assert_false(container_reach_from("Host", &reach));
	assert_false(container_reach_from("", &reach));
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_is_as_promised),
		cmocka_unit_test(port_is_published_only_for_the_host),
		cmocka_unit_test(trial_is_alone),
		cmocka_unit_test(trials_are_known_by_their_names),
		cmocka_unit_test(digest_is_of_what_takes_a_new_container),
		cmocka_unit_test(digest_is_the_label),
		cmocka_unit_test(environment_holds_no_secret),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(too_small_an_arena_is_a_failure),
		cmocka_unit_test(names_come_from_ids),
	};

	return cmocka_run_group_tests_name("container", tests, NULL, NULL);
}
