/* The operator's tool, run as a program against a nats-server of this test's own. */

#include "integration/bus/child.h"

#include "base/json.h"
#include "bus/bus.h"

#include <sodium.h>

#define TRACE    "0123456789abcdef0123456789abcdef"
#define OTHER    "fedcba9876543210fedcba9876543210"
#define DAEMONS  5
#define OUT_MAX  65536
#define ARGS_MAX 8

static struct fixture {
	struct child nats;
	char bin[512], out[128], logs[128];
	struct seal seal;
	struct bus *daemons[DAEMONS];
} f;

static const char *const names[DAEMONS] = { "gateway", "auth", "instance-manager",
	                                    "realtime-fanout", "storage-backup" };

/* Starts zakictl; its output goes to f.out. */
static pid_t start(const char *const *args)
{
	const char *argv[ARGS_MAX + 2] = { f.bin };

	for (size_t i = 0; args[i] && i < ARGS_MAX; i++)
		argv[i + 1] = args[i];
	(void)unlink(f.out);
	return child_run(argv, f.out);
}

static int finish(pid_t pid)
{
	int status = 0;

	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *output(void)
{
	static char text[OUT_MAX];
	OWN(fd) int fd = open(f.out, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

#define RUN(...) finish(start((const char *[]){ __VA_ARGS__, NULL }))

static size_t lines_in(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static void each_command_explains_itself(void **state)
{
	static const char *const commands[] = {
		"disaster-restore", "migrate", "status", "tail", "trace", "user"
	};

	(void)state;
	assert_int_equal(RUN("--help"), 0);
	for (size_t i = 0; i < COUNT(commands); i++) {
		assert_int_equal(RUN("--help"), 0);
		assert_non_null(strstr(output(), commands[i]));
		assert_int_equal(RUN(commands[i], "--help"), 0);
		assert_non_null(strstr(output(), "Usage: zakictl"));
		assert_non_null(strstr(output(), "Environment:"));
	}
}

static void a_wrong_use_is_told_apart_from_a_failure(void **state)
{
	(void)state;
	assert_int_equal(finish(start((const char *[]){ NULL })), 2);
	assert_int_equal(RUN("no-such-command"), 2);
	assert_int_equal(RUN("status", "x"), 2);
	assert_int_equal(RUN("tail"), 2);
	assert_int_equal(RUN("tail", "--count", "0", "x"), 2);
	assert_int_equal(RUN("tail", "--count"), 2);
	assert_int_equal(RUN("tail", "--no-such", "x"), 2);
	assert_int_equal(RUN("trace", "x"), 2);
	assert_int_equal(RUN("trace"), 2);
	assert_int_equal(RUN("migrate", "x"), 2);
	assert_int_equal(RUN("migrate"), 2); /* no DATABASE_URL */
	assert_int_equal(RUN("user"), 2);
	assert_int_equal(RUN("user", "set-tier", "ada@example.org"), 2);
	assert_int_equal(RUN("user", "set-tier", "ada@example.org", "gold"), 2);
	assert_int_equal(RUN("user", "sign-out"), 2);
	assert_int_equal(RUN("user", "sign-out", "--everybody"), 2);
	assert_int_equal(RUN("user", "sign-out", "ada@example.org", "x"), 2);
	assert_int_equal(RUN("user", "set-tier", "ada@example.org", "pro"),
	                 2); /* no DATABASE_URL */
}

static void a_server_that_is_away_is_a_failure_without_its_password(void **state)
{
	char url[128];

	(void)state;
	snprintf(url, sizeof(url), "nats://operator:hunter2@127.0.0.1:%d", free_port());
	setenv("NATS_URL", url, 1);
	assert_int_equal(RUN("status"), 1);
	assert_null(strstr(output(), "hunter2"));
	assert_int_equal(RUN("tail", "x"), 1);
	assert_null(strstr(output(), "hunter2"));
	setenv("NATS_URL", f.nats.url, 1);
	setenv("DATABASE_URL", "postgresql://zaki:hunter2@127.0.0.1:1/zaki", 1);
	assert_int_equal(RUN("migrate"), 1);
	assert_null(strstr(output(), "hunter2"));
	unsetenv("DATABASE_URL");
}

/* In the end: on a machine that stands still meanwhile there may be nobody at all to ask. */
static void assert_status_misses(const char *name)
{
	char want[64];
	bool is_told = false;

	snprintf(want, sizeof(want), "%-18s does not answer", name);
	be_patient(1);
	for (int i = 0; i < 20 && !is_told; i++) {
		assert_int_equal(RUN("status"), 1);
		is_told = strstr(output(), want) != NULL;
	}
	assert_true(is_told);
	be_patient(PATIENCE);
}

static void status_misses_what_is_not_there(void **state)
{
	static const struct bus_service nothing = { .description = "x" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < DAEMONS; i++) {
		struct bus_opt opt = { f.nats.url, names[i], &f.seal, 60000 };

		assert_status_misses(names[i]);
		assert_ok(bus_open(&opt, &f.daemons[i], &e), &e);
		assert_ok(bus_serve(f.daemons[i], &nothing, &e), &e);
	}
	assert_int_equal(RUN("status"), 0);
	for (size_t i = 0; i < DAEMONS; i++)
		assert_non_null(strstr(output(), bus_instance_id(f.daemons[i])));
	assert_null(strstr(output(), "does not answer"));
}

static void say(const char *subject, const char *body, int len)
{
	OWN(nats_msg) natsMsg *msg = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(natsMsg_Create(&msg, subject, NULL, body, len), NATS_OK);
	assert_int_equal(natsMsgHeader_Set(msg, "traceparent", "00-" TRACE "-0123456789abcdef-01"),
	                 NATS_OK);
	assert_ok(bus_tell(f.daemons[0], msg, &e), &e);
}

static void tail_shows_a_line_a_message(void **state)
{
	pid_t pid = start((const char *[]){ "tail", "--count", "3", "a.>", "b.*", NULL });
	long long until_ms = clock_mono_ms() + 60000;
	char *rest, *line;
	static char text[OUT_MAX];

	(void)state;
	/* Until it listens, what is said is not heard. */
	while (lines_in(output()) == 0 && clock_mono_ms() < until_ms) {
		say("a.first", "{ \"n\" : [1, 2] }", 15 + 1);
		clock_sleep_ms(20);
	}
	while (lines_in(output()) < 3 && clock_mono_ms() < until_ms) {
		say("b.second", "\xff\n", 2);
		clock_sleep_ms(20);
	}
	assert_true(lines_in(output()) >= 3);
	assert_int_equal(finish(pid), 0);
	snprintf(text, sizeof(text), "%s", output());
	assert_int_equal(lines_in(text), 3);
	rest = text;
	while ((line = strsep(&rest, "\n")) && *line) {
		OWN(json) cJSON *doc = NULL;
		struct err e = ERR_INIT;
		bool is_first;

		assert_ok(json_parse(line, strlen(line), &doc, &e), &e);
		is_first = strcmp(json_text(doc, "subject"), "a.first") == 0;
		assert_true(clock_text_is_valid(json_text(doc, "time")));
		assert_non_null(json_text(cJSON_GetObjectItem(doc, "headers"), "traceparent"));
		assert_int_equal(cJSON_IsObject(cJSON_GetObjectItem(doc, "body")), is_first);
		if (!is_first)
			assert_string_equal(json_text(doc, "body_base64"), "/wo=");
	}
}

static void tail_ends_after_its_time(void **state)
{
	long long start_ms = clock_mono_ms();

	(void)state;
	assert_int_equal(RUN("tail", "--for", "1", "quiet"), 0);
	assert_true(clock_mono_ms() - start_ms >= 900);
	assert_string_equal(output(), "");
}

static void write_log(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f.logs, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

#define LINE(time, service, message, trace, more)                                                  \
	"{\"timestamp\":\"2026-02-10T12:00:0" time "Z\",\"level\":\"info\",\"service\":\"" service \
	"\",\"message\":\"" message "\",\"trace_id\":\"" trace "\"" more "}\n"

static void trace_tells_the_story_in_order(void **state)
{
	const char *first, *second, *third;

	(void)state;
	write_log("b.log", LINE("1.000", "gateway", "first", TRACE, "") "not json " TRACE "\n" LINE(
				   "3.000", "gateway", "third", TRACE,
				   ",\"path\":\"\\u001b[31m\"") "{\"cut");
	write_log("a.log",
	          LINE("2.000", "auth", "second", TRACE, ",\"ms\":\"7\"")
	                  LINE("2.500", "auth", "elsewhere", OTHER, ",\"trace\":\"" TRACE "\""));
	write_log("c.txt", LINE("2.000", "auth", "no log", TRACE, ""));
	setenv("LOG_DIR", f.logs, 1);
	assert_int_equal(RUN("trace", TRACE), 0);
	assert_int_equal(lines_in(output()), 3);
	first = strstr(output(), "first");
	second = strstr(output(), "second");
	third = strstr(output(), "third");
	assert_true(first && first < second && second < third);
	assert_non_null(strstr(second, "ms=\"7\""));
	assert_null(strchr(output(), '\x1b'));
	assert_int_equal(RUN("trace", "00000000000000000000000000000001"), 1);
	setenv("LOG_DIR", "/nonexistent", 1);
	assert_int_equal(RUN("trace", TRACE), 2);
}

static int setup(void **state)
{
	struct err e = ERR_INIT;
	char *end;

	(void)state;
	be_patient(PATIENCE);
	if (sodium_init() < 0 || seal_init(&f.seal, "0123456789abcdef0123456789abcdef", &e) < 0 ||
	    readlink("/proc/self/exe", f.bin, sizeof(f.bin) - 1) < 0)
		return -1;
	end = strstr(f.bin, "/tests/integration/");
	assert_non_null(end);
	snprintf(end, sizeof(f.bin) - (size_t)(end - f.bin), "/bin/zakictl");
	if (access(f.bin, X_OK) != 0)
		fail_msg("%s is not built", f.bin);
	child_start_nats(&f.nats);
	setenv("NATS_URL", f.nats.url, 1);
	unsetenv("DATABASE_URL");
	snprintf(f.out, sizeof(f.out), "%s/out", f.nats.dir);
	snprintf(f.logs, sizeof(f.logs), "%s/logs", f.nats.dir);
	return mkdir(f.logs, 0700);
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < DAEMONS; i++)
		bus_close(f.daemons[i]);
	nats_Close();
	child_end(&f.nats);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_command_explains_itself),
		cmocka_unit_test(a_wrong_use_is_told_apart_from_a_failure),
		cmocka_unit_test(a_server_that_is_away_is_a_failure_without_its_password),
		cmocka_unit_test(status_misses_what_is_not_there),
		cmocka_unit_test(tail_shows_a_line_a_message),
		cmocka_unit_test(tail_ends_after_its_time),
		cmocka_unit_test(trace_tells_the_story_in_order),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
