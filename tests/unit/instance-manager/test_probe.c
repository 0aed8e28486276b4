#include "probe.h"

#include "unit/net/httpd.h"

#define HEAD    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
#define HEAD503 "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"
#define LIVE    HEAD "{\"ok\":true,\"status\":\"live\"}"
#define READY   HEAD "{\"ready\":true}"
#define WAITING HEAD503 "{\"ready\":false}"
#define PAGE    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<!doctype html><title>OpenClaw</title>"
#define RPC     "/api/v1/admin/rpc"

/* As the gateway answers, with one account; times are unix ms, "now" is 1795422147319. */
#define STATUS(account)                                                                    \
	"{\"id\":\"1\",\"ok\":true,\"payload\":{\"ts\":1795422147319,\"channelAccounts\":" \
	"{\"telegram\":[{\"accountId\":\"default\"," account "}]}}}"
#define RECENT "\"lastStartAt\":1795422146000"
#define LONG   "\"lastStartAt\":1795422000000"

static const struct {
	const char *what, *answer;
	enum probe_verdict waiting, ready; /* with /readyz at 503 and at 200 */
} judged[] = {
	{ "works", STATUS("\"lifecycle\":\"ready\",\"connected\":true,\"lastError\":null," LONG),
	  PROBE_STARTING, PROBE_READY },
	{ "works again",
	  STATUS("\"lifecycle\":\"ready\",\"lastError\":\"getUpdates conflict\"," LONG),
	  PROBE_STARTING, PROBE_READY },
	{ "not begun",
	  STATUS("\"running\":false,\"healthState\":\"not-running\",\"lastError\":null"),
	  PROBE_STARTING, PROBE_STARTING },
	{ "begun",
	  STATUS("\"lifecycle\":\"starting\",\"connected\":false,\"lastError\":null," RECENT),
	  PROBE_STARTING, PROBE_STARTING },
	{ "Telegram never reached",
	  STATUS("\"lifecycle\":\"starting\",\"connected\":false,\"lastError\":null," LONG),
	  PROBE_NO_TELEGRAM, PROBE_NO_TELEGRAM },
	{ "Telegram lost",
	  STATUS("\"lifecycle\":\"recovering\",\"connected\":false,\"lastError\":\"fetch "
	         "failed\"," LONG),
	  PROBE_NO_TELEGRAM, PROBE_NO_TELEGRAM },
	{ "token refused",
	  STATUS("\"lifecycle\":\"blocked\",\"terminalDisconnect\":true,\"lastError\":\"Telegram "
	         "bot token unauthorized for account\"," LONG),
	  PROBE_BOT_REFUSED, PROBE_BOT_REFUSED },
	{ "another polls",
	  STATUS("\"lifecycle\":\"recovering\",\"connected\":false,\"lastError\":\"Telegram "
	         "getUpdates conflict: Conflict: terminated\"," RECENT),
	  PROBE_BOT_CONFLICT, PROBE_BOT_CONFLICT },
	{ "breaker",
	  STATUS("\"lifecycle\":\"stopped\",\"running\":false,\"lastError\":\"gateway restart-loop "
	         "breaker tripped: 5 unclean boot(s)\""),
	  PROBE_CHANNELS_OFF, PROBE_CHANNELS_OFF },
	{ "stopped a moment ago",
	  STATUS("\"lifecycle\":\"stopped\",\"running\":false,\"lastError\":null," RECENT),
	  PROBE_STARTING, PROBE_STARTING },
	{ "stopped", STATUS("\"lifecycle\":\"stopped\",\"running\":false,\"lastError\":null," LONG),
	  PROBE_CHANNELS_OFF, PROBE_CHANNELS_OFF },
	{ "lifecycle is no text", STATUS("\"lifecycle\":7"), PROBE_STARTING, PROBE_STARTING },
	{ "no account", "{\"payload\":{\"ts\":1,\"channelAccounts\":{}}}", PROBE_STARTING,
	  PROBE_READY },
	{ "no time", "{\"payload\":{\"channelAccounts\":{\"telegram\":[{}]}}}", PROBE_STARTING,
	  PROBE_READY },
	{ "a refusal", "{\"ok\":false,\"error\":{\"code\":\"INVALID_REQUEST\"}}", PROBE_STARTING,
	  PROBE_READY },
	{ "an array", "[]", PROBE_STARTING, PROBE_READY },
	{ "no JSON", "<html>", PROBE_STARTING, PROBE_READY },
	{ "nothing", "", PROBE_STARTING, PROBE_READY },
};

static void channels_are_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(judged); i++) {
		const char *text = judged[i].answer;

		print_message("  %s\n", judged[i].what);
		assert_string_equal(probe_name(probe_judge(false, text, strlen(text))),
		                    probe_name(judged[i].waiting));
		assert_string_equal(probe_name(probe_judge(true, text, strlen(text))),
		                    probe_name(judged[i].ready));
	}
}

/* What the real one answered (tests/fakes/samples). */
static void samples_of_the_real_one_are_judged(void **state)
{
	static const struct {
		const char *file;
		enum probe_verdict want;
	} cases[] = {
		{ "channels-status-good.json", PROBE_READY },
		{ "channels-status-good-probe.json", PROBE_READY },
		{ "channels-status-bad-token.json", PROBE_BOT_REFUSED },
		{ "channels-status-bad-token-probe.json", PROBE_BOT_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char path[128], text[16384];
		size_t len;
		FILE *f;

		print_message("  %s\n", cases[i].file);
		snprintf(path, sizeof(path), "tests/fakes/samples/%s", cases[i].file);
		f = fopen(path, "r");
		assert_non_null(f);
		len = fread(text, 1, sizeof(text), f);
		fclose(f);
		assert_string_equal(probe_name(probe_judge(true, text, len)),
		                    probe_name(cases[i].want));
	}
}

static const struct {
	const char *what, *healthz, *readyz, *rpc;
	enum probe_verdict want;
	bool is_live;
} probed[] = {
	{ "ready", LIVE, READY, HEAD STATUS("\"lifecycle\":\"ready\""), PROBE_READY, true },
	{ "starting", LIVE, WAITING, HEAD STATUS("\"running\":false"), PROBE_STARTING, true },
	{ "blocked", LIVE, WAITING, HEAD STATUS("\"lifecycle\":\"blocked\""), PROBE_BOT_REFUSED,
	  true },
	{ "token not accepted", LIVE, READY,
	  "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n{}", PROBE_READY, true },
	{ "admin route is a page", LIVE, READY, PAGE, PROBE_READY, true },
	{ "readyz is a page", LIVE, PAGE, PAGE, PROBE_STARTING, true },
	{ "hangs up on the second", LIVE, "", "", PROBE_STARTING, true },
	{ "healthz is a page", PAGE, PAGE, PAGE, PROBE_STRANGER, false },
	{ "healthz says no", HEAD "{\"ok\":false}", READY, "", PROBE_STRANGER, false },
	{ "healthz is 404", "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n{\"ok\":true}",
	  READY, "", PROBE_STRANGER, false },
	{ "hangs up", "", "", "", PROBE_DOWN, false },
};

static void instance_is_probed(void **state)
{
	struct http_client_opt opt = { .connect_ms = 1000, .base_url = "" };
	struct http_client *c = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(http_client_open(&opt, &c, &e), &e);
	for (size_t i = 0; i < COUNT(probed); i++) {
		const struct httpd_answer answers[] = {
			{ "/healthz", probed[i].healthz, HTTPD_CLOSE },
			{ "/readyz", probed[i].readyz, HTTPD_CLOSE },
			{ RPC, probed[i].rpc, HTTPD_CLOSE },
		};
		struct probe_target t = { .address = "127.0.0.1", .token = "gateway-token" };
		struct probe_report report;
		struct httpd server;

		print_message("  %s\n", probed[i].what);
		httpd_start(&server, answers, COUNT(answers), NULL);
		t.port = server.port;
		probe_instance(c, &t, &report);
		assert_string_equal(probe_name(report.verdict), probe_name(probed[i].want));
		assert_int_equal(report.is_live, probed[i].is_live);
		assert_int_equal(report.text[0] == 0, report.verdict == PROBE_READY);
		httpd_stop(&server);
	}
	http_client_close(c);
}

static void token_goes_to_the_admin_route_alone(void **state)
{
	static const struct httpd_answer answers[] = {
		{ "/healthz", LIVE, HTTPD_CLOSE },
		{ "/readyz", READY, HTTPD_CLOSE },
		{ RPC, HEAD STATUS("\"lifecycle\":\"ready\""), HTTPD_CLOSE },
	};
	struct http_client_opt opt = { .connect_ms = 1000, .base_url = "" };
	struct probe_target t = { .address = "127.0.0.1", .token = "gateway-token" };
	struct probe_report report;
	struct http_client *c = NULL;
	struct err e = ERR_INIT;
	struct httpd server;

	(void)state;
	httpd_start(&server, answers, COUNT(answers), NULL);
	t.port = server.port;
	assert_ok(http_client_open(&opt, &c, &e), &e);
	probe_instance(c, &t, &report);
	assert_int_equal(server.request_count, 3);
	assert_memory_equal(server.last, "POST " RPC " HTTP/1.1\r\n", sizeof("POST " RPC) - 1);
	assert_non_null(strstr(server.last, "\r\nAuthorization: Bearer gateway-token\r\n"));

	t.token = NULL;
	probe_instance(c, &t, &report);
	assert_int_equal(server.request_count, 5);
	assert_string_equal(probe_name(report.verdict), "ready");
	http_client_close(c);
	httpd_stop(&server);
}

static void nothing_on_the_port_is_down(void **state)
{
	struct http_client_opt opt = { .connect_ms = 1000, .base_url = "" };
	const struct probe_target targets[] = { { "127.0.0.1", 1, NULL }, { "::1", 1, NULL } };
	struct probe_report report;
	struct http_client *c = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(http_client_open(&opt, &c, &e), &e);
	for (size_t i = 0; i < COUNT(targets); i++) {
		probe_instance(c, &targets[i], &report);
		assert_string_equal(probe_name(report.verdict), "down");
		assert_false(report.is_live);
	}
	http_client_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(channels_are_judged),
		cmocka_unit_test(samples_of_the_real_one_are_judged),
		cmocka_unit_test(instance_is_probed),
		cmocka_unit_test(token_goes_to_the_admin_route_alone),
		cmocka_unit_test(nothing_on_the_port_is_down),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
