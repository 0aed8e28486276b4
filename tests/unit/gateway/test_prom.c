/* Figures as Prometheus reads them. */

#include "metrics/prom.h"
#include "test.h"

#define STATS(name, id, data, endpoints)                                                         \
	"{\"name\":\"" name "\",\"id\":\"" id "\",\"data\":{" data "},\"endpoints\":[" endpoints \
	"]}"
#define ID "0123456789abcdef"

static char *text_of(const char *stats)
{
	OWN(json) cJSON *all = cJSON_Parse(stats);
	struct err e = ERR_INIT;
	char *text = NULL;

	assert_non_null(all);
	assert_int_equal(prom_text(all, &text, &e), 0);
	return text;
}

static void a_figure_says_whose_it_is(void **state)
{
	OWN(mem)
	char *text = text_of("[" STATS(
		"gateway", ID,
		"\"zaki_http_requests_total{class=\\\"2xx\\\"}\":7,\"zaki_limits_local\":1",
		"") "]");

	(void)state;
	assert_non_null(strstr(text, "zaki_http_requests_total{service=\"gateway\",node=\"" ID
	                             "\",class=\"2xx\"} 7\n"));
	assert_non_null(strstr(text, "zaki_limits_local{service=\"gateway\",node=\"" ID "\"} 1\n"));
	assert_non_null(strstr(text, "zaki_daemons{service=\"gateway\"} 1\n"));
	assert_non_null(strstr(text, "zaki_daemons{service=\"auth\"} 0\n"));
}

static void calls_are_counted_by_subject(void **state)
{
	OWN(mem)
	char *text = text_of("[" STATS("auth", ID, "",
	                               "{\"subject\":\"zaki.rpc.auth.login\",\"num_requests\":3,"
	                               "\"num_errors\":1,\"processing_time\":1500000000}") "]");
	static const char whose[] =
		"{service=\"auth\",node=\"" ID "\",subject=\"zaki.rpc.auth.login\"} ";
	static const char *const want[][2] = {
		{ "zaki_bus_requests_total", "3\n" },
		{ "zaki_bus_errors_total", "1\n" },
		{ "zaki_bus_request_seconds_total", "1.5\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(want); i++) {
		char line[256];

		snprintf(line, sizeof(line), "\n%s%s%s", want[i][0], whose, want[i][1]);
		assert_non_null(strstr(text, line));
	}
}

/* The head of a name stands once, before its series. */
static void each_name_is_explained_once(void **state)
{
	OWN(mem) char *text = text_of("[]");
	size_t heads = 0;

	(void)state;
	for (const char *at = strstr(text, "# TYPE "); at; at = strstr(at + 1, "# TYPE ")) {
		char head[160];

		snprintf(head, sizeof(head), "%.*s", (int)strcspn(at, "\n"), at);
		*strrchr(head, ' ') = '\0';
		snprintf(head + strlen(head), 2, " ");
		assert_null(strstr(at + 1, head));
		heads++;
	}
	assert_true(heads > 5);
}

/* Others may answer $SRV.STATS, and anybody may err: nothing of it is copied. */
static void what_is_not_ours_is_left_out(void **state)
{
	static const char *const odd[] = {
		STATS("somebody", ID, "\"zaki_limits_local\":77", ""),
		STATS("gateway", "x\\\"} 77", "\"zaki_limits_local\":77", ""),
		STATS("gateway", "0123456789abcdeF", "\"zaki_limits_local\":77", ""),
		STATS("gateway", ID, "\"zaki_limits_local\":\"77\"", ""),
		STATS("gateway", ID, "\"evil{}\":77", ""),
		STATS("auth", ID, "", "{\"subject\":\"evil\",\"num_requests\":77}"),
		STATS("auth", ID, "",
		      "{\"subject\":\"zaki.rpc.auth.login\",\"num_requests\":\"77\"}"),
		STATS("auth", ID, "", "77"),
		"{}",
		"77",
		"{\"name\":77,\"id\":77,\"data\":77,\"endpoints\":77}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(odd); i++) {
		char all[512];
		OWN(mem) char *text = NULL;

		snprintf(all, sizeof(all), "[%s]", odd[i]);
		text = text_of(all);
		print_message("  %s\n", odd[i]);
		assert_null(strstr(text, "77"));
		assert_null(strstr(text, "evil"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_figure_says_whose_it_is),
		cmocka_unit_test(calls_are_counted_by_subject),
		cmocka_unit_test(each_name_is_explained_once),
		cmocka_unit_test(what_is_not_ours_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
