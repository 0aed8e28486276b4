#include "docker.h"

#include "test.h"

#define ID       "4f5d1e0c9b8a79685746352413f2e1d0c9b8a79685746352413f2e1d0c9b8a79"
#define ID2      "5f5d1e0c9b8a79685746352413f2e1d0c9b8a79685746352413f2e1d0c9b8a79"
#define INSTANCE "11111111-2222-4333-8444-555555555555"
#define USER     "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define PLATFORM "99999999-8888-4777-8666-555555555555"
#define SPEC     "0123456789abcdef0123456789abcdef"
#define NAME     "zaki-user-" INSTANCE

#define LABELS                                                      \
	"{\"zaki.instance\":\"" INSTANCE "\",\"zaki.user\":\"" USER \
	"\",\"zaki.platform\":\"" PLATFORM "\",\"zaki.spec\":\"" SPEC "\",\"zaki.trace\":\"x\"}"

/* GET /containers/ID/json of a real engine, shortened to what is read. */
#define STATE                                                                                    \
	"{\"Id\":\"" ID                                                                          \
	"\",\"Created\":\"2026-11-23T08:00:00Z\",\"State\":{\"Status\":\"running\","             \
	"\"Running\":true,\"OOMKilled\":false,\"Pid\":7,\"ExitCode\":0,\"Error\":\"\","          \
	"\"StartedAt\":\"2026-11-23T08:45:21.939004160Z\",\"FinishedAt\":\"0001-01-01T00:00:"    \
	"00Z\"},"                                                                                \
	"\"Name\":\"/" NAME "\",\"RestartCount\":2,\"HostConfig\":{\"Memory\":2147483648,"       \
	"\"PortBindings\":{\"18789/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"20000\"}]}}," \
	"\"Config\":{\"Labels\":" LABELS "},\"NetworkSettings\":{\"Networks\":{\"zaki\":"        \
	"{\"IPAddress\":\"172.21.0.2\"}}}}"

static struct http_res res_of(const char *body)
{
	return (struct http_res){ .status = 200, .body = body, .body_len = strlen(body) };
}

/* A copy of text with the first `from` replaced; the caller frees it. */
static char *changed(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *copy = NULL;

	assert_non_null(at);
	assert_true(asprintf(&copy, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
	return copy;
}

static void state_is_read(void **state)
{
	struct http_res res = res_of(STATE);
	struct engine_state s;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(docker_json_state(&res, PLATFORM, &s, &e), &e);
	assert_string_equal(s.item.id, ID);
	assert_string_equal(s.item.name, NAME);
	assert_string_equal(s.item.instance_id, INSTANCE);
	assert_string_equal(s.item.user_id, USER);
	assert_string_equal(s.item.spec, SPEC);
	assert_true(s.item.is_ours);
	assert_int_equal(s.item.status, ENGINE_RUNNING);
	assert_int_equal(s.exit_code, 0);
	assert_false(s.is_healthy); /* it has no check */
	assert_false(s.oom_killed);
	assert_int_equal(s.restart_count, 2);
	assert_true(s.started_ms == 1795423521939);
	assert_true(s.finished_ms == 0);
	assert_string_equal(s.address, "172.21.0.2");
	assert_int_equal(s.port, 20000);
	assert_int_equal(s.memory_mib, 2048);

	assert_ok(docker_json_state(&res, USER, &s, &e), &e);
	assert_false(s.item.is_ours);
}

/* clang-format off */
static const struct {
	const char *what, *from, *to;
	const char *named; /* in the error; NULL: accepted */
} changes[] = {
	{ "ended by a signal",     "\"ExitCode\":0",            "\"ExitCode\":137",           NULL },
	{ "not started",           "\"running\"",               "\"created\"",                NULL },
	{ "no network",            "\"172.21.0.2\"",            "\"\"",                       NULL },
	{ "foreign labels",        LABELS,                      "null",                       NULL },
	{ "label that is no id",   INSTANCE "\",\"zaki.user\"", "../x\",\"zaki.user\"",       NULL },
	{ "no port",               "\"20000\"",                 "\"\"",                       NULL },
	{ "a whole second",        "21.939004160Z",             "21Z",                        NULL },
	{ "no id",                 "\"Id\"",                    "\"Di\"",                     "Id" },
	{ "a short id",            ID,                          "4f5d",                       "Id" },
	{ "unknown status",        "\"running\"",               "\"sleeping\"",               "State.Status" },
	{ "absent is not said",    "\"running\"",               "\"absent\"",                 "State.Status" },
	{ "exit code as text",     "\"ExitCode\":0",            "\"ExitCode\":\"0\"",         "State.ExitCode" },
	{ "exit code too large",   "\"ExitCode\":0",            "\"ExitCode\":1e99",          "State.ExitCode" },
	{ "no word of memory",     "\"OOMKilled\":false,",      "",                           "State.OOMKilled" },
	{ "time without zone",     "21.939004160Z",             "21.939004160",               "State.StartedAt" },
	{ "time that is none",     "2026-11-23T08:45",          "yesterday",                  "State.StartedAt" },
	{ "memory below nothing",  "2147483648",                "-1",                         "HostConfig.Memory" },
	{ "no restart count",      "\"RestartCount\":2",        "\"RestartCount\":null",      "RestartCount" },
	{ "cut",                   "}}}}",                      "}}}",                        "answer" },
	{ "a key twice",           "\"Name\"",                  "\"Id\":\"x\",\"Name\"",      "answer" },
};
/* clang-format on */

static void health_is_what_the_check_said(void **state)
{
	static const struct {
		const char *health;
		bool want;
	} cases[] = {
		{ "\"Health\":{\"Status\":\"healthy\",\"Log\":[]},\"Pid\"", true },
		{ "\"Health\":{\"Status\":\"starting\",\"Log\":[]},\"Pid\"", false },
		{ "\"Health\":{\"Status\":\"unhealthy\",\"Log\":[]},\"Pid\"", false },
		{ "\"Health\":{\"Status\":7},\"Pid\"", false },
		{ "\"Health\":null,\"Pid\"", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *text = changed(STATE, "\"Pid\"", cases[i].health);
		struct http_res res = res_of(text);
		struct engine_state s;
		struct err e = ERR_INIT;

		assert_ok(docker_json_state(&res, PLATFORM, &s, &e), &e);
		assert_int_equal(s.is_healthy, cases[i].want);
		free(text);
	}
}

static void state_that_is_not_as_expected_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(changes); i++) {
		char *text = changed(STATE, changes[i].from, changes[i].to);
		struct engine_state s = { .port = -1 };
		struct http_res res = res_of(text);
		struct err e = ERR_INIT;
		int r = docker_json_state(&res, PLATFORM, &s, &e);

		print_message("  %s\n", changes[i].what);
		assert_int_equal(r, changes[i].named ? -1 : 0);
		if (changes[i].named) {
			assert_int_equal(e.code, ERR_UPSTREAM);
			assert_non_null(strstr(e.msg, changes[i].named));
			assert_int_equal(s.port, -1);
		}
		free(text);
	}
}

static void list_is_read(void **state)
{
	static const char text[] = "[{\"Id\":\"" ID "\",\"Names\":[\"/" NAME
				   "\"],\"State\":\"exited\",\"Labels\":" LABELS "},"
				   "{\"Id\":\"" ID2 "\",\"Names\":null,\"State\":\"removing\","
				   "\"Labels\":{\"zaki.platform\":\"" PLATFORM "\"}}]";
	struct http_res res = res_of(text), empty = res_of("[]"), bad = res_of("[{}]");
	struct engine_item *items = NULL;
	struct err e = ERR_INIT;
	size_t count = 99;
	struct arena a;

	(void)state;
	arena_init(&a, 65536);
	assert_ok(docker_json_list(&res, PLATFORM, &a, &items, &count, &e), &e);
	assert_int_equal(count, 2);
	assert_string_equal(items[0].instance_id, INSTANCE);
	assert_int_equal(items[0].status, ENGINE_EXITED);
	assert_string_equal(items[1].id, ID2);
	assert_string_equal(items[1].instance_id, "");
	assert_string_equal(items[1].name, "");
	assert_true(items[1].is_ours);
	assert_ok(docker_json_list(&empty, PLATFORM, &a, &items, &count, &e), &e);
	assert_int_equal(count, 0);
	assert_fails(docker_json_list(&bad, PLATFORM, &a, &items, &count, &e), &e, ERR_UPSTREAM);
	assert_int_equal(count, 0);
	arena_done(&a);
}

#define EVENT(action, more)                                                                     \
	"{\"status\":\"x\",\"Type\":\"container\",\"Action\":\"" action                         \
	"\",\"Actor\":{\"ID\":\"" ID "\",\"Attributes\":{" more "\"zaki.instance\":\"" INSTANCE \
	"\"}},\"scope\":\"local\",\"time\":1795423521,\"timeNano\":1795423521905944163}"

static void events_are_read(void **state)
{
	/* clang-format off */
	static const struct {
		const char *what, *line;
		enum engine_event_kind kind;
		int exit_code;
	} cases[] = {
		{ "start",      EVENT("start", ""),                             ENGINE_EVENT_STARTED,   0 },
		{ "die",        EVENT("die", "\"exitCode\":\"137\","),          ENGINE_EVENT_DIED,      137 },
		{ "die, -1",    EVENT("die", "\"exitCode\":\"-1\","),           ENGINE_EVENT_DIED,      -1 },
		{ "oom",        EVENT("oom", ""),                               ENGINE_EVENT_OOM,       0 },
		{ "create",     EVENT("create", ""),                            ENGINE_EVENT_CREATED,   0 },
		{ "destroy",    EVENT("destroy", ""),                           ENGINE_EVENT_DESTROYED, 0 },
		{ "pause",      EVENT("pause", ""),                             ENGINE_EVENT_PAUSED,    0 },
		{ "unpause",    EVENT("unpause", ""),                           ENGINE_EVENT_UNPAUSED,  0 },
		{ "kill",       EVENT("kill", "\"signal\":\"15\","),            ENGINE_EVENT_CHANGED,   0 },
		{ "exec",       EVENT("exec_start: sh", ""),                    ENGINE_EVENT_CHANGED,   0 },
		{ "false time", EVENT("start", "\"x\":\"\\\"timeNano\\\":1\","), ENGINE_EVENT_STARTED,  0 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct engine_event ev;
		struct err e = ERR_INIT;

		print_message("  %s\n", cases[i].what);
		assert_ok(docker_json_event(cases[i].line, strlen(cases[i].line), &ev, &e), &e);
		assert_int_equal(ev.kind, cases[i].kind);
		assert_int_equal(ev.exit_code, cases[i].exit_code);
		assert_string_equal(ev.container_id, ID);
		assert_string_equal(ev.instance_id, INSTANCE);
		assert_true(ev.time_ns == 1795423521905944163); /* to the nanosecond */
	}
}

static void event_that_is_none_is_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"{}",
		"[]",
		"null",
		"{\"Action\":\"start\"}",
		EVENT("die", ""),
		"{\"Action\":\"start\",\"Actor\":{\"ID\":\"" ID "\"}}",
		"{\"Action\":\"start\",\"Actor\":{\"ID\":\"" ID
		"\"},\"timeNano\":99999999999999999999999}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct engine_event ev = { .exit_code = -9 };
		struct err e = ERR_INIT;

		print_message("  %.60s\n", lines[i]);
		assert_fails(docker_json_event(lines[i], strlen(lines[i]), &ev, &e), &e,
		             ERR_UPSTREAM);
		assert_int_equal(ev.exit_code, -9);
	}
}

static void version_is_checked(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		enum err_code code;
	} cases[] = {
		{ "{\"Version\":\"20.10.24\",\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}", ERR_NONE },
		{ "{\"Version\":\"27.0\",\"ApiVersion\":\"1.46\",\"MinAPIVersion\":\"1.24\"}",     ERR_NONE },
		{ "{\"Version\":\"9\",\"ApiVersion\":\"1.41\"}",                                   ERR_NONE },
		{ "{\"Version\":\"19.03\",\"ApiVersion\":\"1.40\",\"MinAPIVersion\":\"1.12\"}",    ERR_UNAVAILABLE },
		{ "{\"Version\":\"29.0\",\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}",     ERR_NONE },
		{ "{\"Version\":\"40\",\"ApiVersion\":\"1.70\",\"MinAPIVersion\":\"1.60\"}",       ERR_UNAVAILABLE },
		{ "{\"Version\":\"x\",\"ApiVersion\":\"new\"}",                                    ERR_UPSTREAM },
		{ "{\"Version\":\"x\",\"ApiVersion\":\"1.41b\"}",                                  ERR_UPSTREAM },
		{ "{\"ApiVersion\":\"1.41\"}",                                                     ERR_UPSTREAM },
		{ "<html>",                                                                        ERR_UPSTREAM },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_res res = res_of(cases[i].text);
		struct engine_info info = { .version = "" };
		struct err e = ERR_INIT;
		int minor = 0, r = docker_json_version(&res, &info, &minor, &e);

		/* The oldest that both know. */
		if (r == 0)
			assert_int_equal(minor, strstr(cases[i].text, "\"1.44\"") ? 44 : 41);

		print_message("  %s\n", cases[i].text);
		assert_int_equal(r, cases[i].code ? -1 : 0);
		assert_string_equal(err_name(e.code), err_name(cases[i].code));
	}
}

static void network_is_judged(void **state)
{
#define NETWORK(name, driver, icc) \
	"{\"Name\":\"" name "\",\"Driver\":\"" driver "\",\"Options\":{" icc "}}"
#define ICC(v) "\"" DOCKER_ICC "\":\"" v "\""
	static const struct {
		const char *text;
		enum docker_network_fit want;
	} cases[] = {
		{ NETWORK("zaki", "bridge", ICC("false")), DOCKER_NETWORK_FITS },
		{ NETWORK("zaki", "bridge", ICC("true")), DOCKER_NETWORK_TALKING },
		{ NETWORK("zaki", "bridge", ""), DOCKER_NETWORK_TALKING },
		{ NETWORK("zaki", "overlay", ICC("false")), DOCKER_NETWORK_TALKING },
		{ NETWORK("zak1", "bridge", ICC("false")), DOCKER_NETWORK_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_res res = res_of(cases[i].text);
		enum docker_network_fit fit;
		struct err e = ERR_INIT;

		assert_ok(docker_json_network(&res, "zaki", &fit, &e), &e);
		assert_int_equal(fit, cases[i].want);
	}
}

static void networks_of_a_name_are_counted(void **state)
{
	static const char text[] = "[{\"Name\":\"other\"},{\"Name\":\"zaki\"},"
				   "{\"Name\":\"zaki2\"},{\"Name\":\"zaki\"}]";
	struct http_res res = res_of(text), bad = res_of("[{\"Name\":7}]");
	struct err e = ERR_INIT;
	size_t count = 9;

	(void)state;
	assert_ok(docker_json_networks(&res, "zaki", &count, &e), &e);
	assert_int_equal(count, 2);
	assert_ok(docker_json_networks(&res, "none", &count, &e), &e);
	assert_int_equal(count, 0);
	assert_fails(docker_json_networks(&bad, "zaki", &count, &e), &e, ERR_UPSTREAM);
}

static void refusals_give_their_reason_in_one_line(void **state)
{
	static const struct {
		const char *body, *want;
	} cases[] = {
		{ "{\"message\":\"no such container\"}", "no such container" },
		{ "{\"message\":\"two\\nlines\"}", "two lines" },
		{ "{\"message\":7}", "" },
		{ "[]", "" },
		{ "", "" },
		{ "404 page not found", "" },
	};
	char out[DOCKER_MESSAGE_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_res res = res_of(cases[i].body);

		assert_string_equal(docker_json_message(&res, out), cases[i].want);
	}
}

static void log_frames_are_joined(void **state)
{
#define F(stream, len) stream "\0\0\0\0\0\0" len
	/* clang-format off */
	static const struct {
		const char *what, *data;
		size_t len, max;
		const char *want; /* NULL: refused */
	} cases[] = {
		{ "nothing",           "",                                        0,  99, "" },
		{ "one",               F("\1", "\4") "one\n",                     12, 99, "one\n" },
		{ "both outputs",      F("\1", "\4") "one\n" F("\2", "\4") "two\n", 24, 99, "one\ntwo\n" },
		{ "the last of it",    F("\1", "\4") "one\n" F("\2", "\4") "two\n", 24, 6,  "two\n" },
		{ "of one long line",  F("\1", "\6") "abcdef",                    14, 3,  "def" },
		{ "a zero byte",       F("\1", "\3") "a\0b",                      11, 99, "a?b" },
		{ "an empty frame",    F("\1", "\0") F("\1", "\1") "x",           17, 99, "x" },
		{ "half a head",       "\1\0\0\0",                                4,  99, NULL },
		{ "cut",               F("\1", "\4") "on",                        10, 99, NULL },
		{ "not frames",        "plain text of a terminal\n",              25, 99, NULL },
		{ "a third stream",    F("\3", "\1") "x",                         9,  99, NULL },
		{ "a huge length",     "\1\0\0\0\377\377\377\377x",               9,  99, NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_res res = { .body = cases[i].data, .body_len = cases[i].len };
		const char *text = NULL;
		struct err e = ERR_INIT;
		struct arena a;
		int r;

		print_message("  %s\n", cases[i].what);
		arena_init(&a, 4096);
		r = docker_logs_text(&res, cases[i].max, &a, &text, &e);
		assert_int_equal(r, cases[i].want ? 0 : -1);
		if (cases[i].want)
			assert_string_equal(text, cases[i].want);
		else
			assert_int_equal(e.code, ERR_UPSTREAM);
		arena_done(&a);
	}
}

static void host_has_its_forms(void **state)
{
	static const struct {
		const char *host;
		bool fits;
	} cases[] = {
		{ "unix:///var/run/docker.sock", true },
		{ "tcp://10.0.0.1:2375", true },
		{ "http://engine:2375", true },
		{ "", false },
		{ "/var/run/docker.sock", false },
		{ "unix://relative", false },
		{ "tcp://", false },
		{ "tcp://engine", false },
		{ "tcp://user@engine:1", false },
		{ "tcp://engine:2375/path", false },
		{ "ssh://engine:22", false },
		{ "https://engine:2376", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct engine *g = NULL;
		struct err e = ERR_INIT;
		int r = docker_open(cases[i].host, PLATFORM, &g, &e);

		print_message("  '%s'\n", cases[i].host);
		assert_int_equal(r, cases[i].fits ? 0 : -1);
		assert_string_equal(e.field, cases[i].fits ? "" : "DOCKER_HOST");
		engine_close(g);
	}
}

static void names_are_escaped(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 4096);
	assert_string_equal(docker_escape("zaki-user-1", false, &a), "zaki-user-1");
	assert_string_equal(docker_escape("../x?y=1#\xc3\xa4", false, &a),
	                    "..%2Fx%3Fy%3D1%23%C3%A4");
	assert_string_equal(docker_escape("host:5000/zaki/openclaw:1@sha256:ab c", true, &a),
	                    "host:5000/zaki/openclaw:1@sha256:ab%20c");
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_is_read),
		cmocka_unit_test(health_is_what_the_check_said),
		cmocka_unit_test(state_that_is_not_as_expected_is_named),
		cmocka_unit_test(list_is_read),
		cmocka_unit_test(events_are_read),
		cmocka_unit_test(event_that_is_none_is_refused),
		cmocka_unit_test(version_is_checked),
		cmocka_unit_test(network_is_judged),
		cmocka_unit_test(networks_of_a_name_are_counted),
		cmocka_unit_test(refusals_give_their_reason_in_one_line),
		cmocka_unit_test(log_frames_are_joined),
		cmocka_unit_test(host_has_its_forms),
		cmocka_unit_test(names_are_escaped),
	};

	return cmocka_run_group_tests_name("docker_json", tests, NULL, NULL);
}
