#include "base/metric.h"
#include "base/own.h"

#include "test.h"

#include <ctype.h>

static void every_row_is_one_series(void **state)
{
	(void)state;
	for (enum metric_id i = 0; i < METRIC_COUNT; i++) {
		char mine[METRIC_SERIES_SIZE], other[METRIC_SERIES_SIZE];

		metric_series(i, mine);
		assert_true(strlen(mine) < sizeof(mine) - 1);
		for (enum metric_id k = 0; k < i; k++)
			assert_string_not_equal(mine, metric_series(k, other));
	}
}

/* Prometheus refuses a text in which rows of one name stand apart or differ in kind. */
static void rows_of_one_name_stand_together_and_agree(void **state)
{
	(void)state;
	for (enum metric_id i = 1; i < METRIC_COUNT; i++) {
		bool is_same = strcmp(metrics[i].name, metrics[i - 1].name) == 0;

		for (enum metric_id k = 0; !is_same && k < i; k++)
			assert_string_not_equal(metrics[i].name, metrics[k].name);
		if (!is_same)
			continue;
		assert_int_equal(metrics[i].kind, metrics[i - 1].kind);
		assert_string_equal(metrics[i].service, metrics[i - 1].service);
		assert_string_equal(metrics[i].unit, metrics[i - 1].unit);
		assert_string_equal(metrics[i].help, metrics[i - 1].help);
	}
}

static void names_are_as_prometheus_wants_them(void **state)
{
	(void)state;
	for (enum metric_id i = 0; i < METRIC_COUNT; i++) {
		const char *name = metrics[i].name;
		size_t len = strlen(name);
		bool is_total = len > 6 && strcmp(name + len - 6, "_total") == 0;

		print_message("  %s\n", name);
		assert_memory_equal(name, "zaki_", 5);
		for (const char *c = name; *c; c++)
			assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) ||
			            *c == '_');
		assert_int_equal(is_total, metrics[i].kind == METRIC_COUNTER);
		assert_true(metrics[i].unit[0] && metrics[i].help[0]);
		assert_null(strpbrk(metrics[i].help, "\\\n"));
	}
}

static void a_value_is_what_was_counted(void **state)
{
	char text[METRIC_SERIES_SIZE];

	(void)state;
	metric_add(METRIC_HTTP_2XX, 2);
	metric_add(METRIC_HTTP_2XX, 1);
	metric_set(METRIC_LIMITS_LOCAL, 1);
	metric_set(METRIC_LIMITS_LOCAL, 0);
	assert_int_equal(metric_get(METRIC_HTTP_2XX), 3);
	assert_int_equal(metric_get(METRIC_LIMITS_LOCAL), 0);
	assert_string_equal(metric_series(METRIC_HTTP_2XX, text),
	                    "zaki_http_requests_total{class=\"2xx\"}");
	assert_string_equal(metric_series(METRIC_LIMITS_LOCAL, text), "zaki_limits_local");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_one_series),
		cmocka_unit_test(rows_of_one_name_stand_together_and_agree),
		cmocka_unit_test(names_are_as_prometheus_wants_them),
		cmocka_unit_test(a_value_is_what_was_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
