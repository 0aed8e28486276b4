/* Log lines, read back from the standard error of this very process. */

#include "test.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define THREADS 8
#define LINES   200

static int saved = -1;

static FILE *capture(void)
{
	FILE *f = tmpfile();

	saved = dup(STDERR_FILENO);
	dup2(fileno(f), STDERR_FILENO);
	return f;
}

static void capture_end(FILE *f)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(f);
}

static cJSON *next(FILE *f)
{
	char line[16384];
	cJSON *doc = NULL;
	struct err e = ERR_INIT;

	if (!fgets(line, sizeof(line), f))
		return NULL;
	assert_int_equal(line[strlen(line) - 1], '\n');
	assert_ok(json_parse(line, strlen(line), &doc, &e), &e);
	return doc;
}

static void a_line_is_one_object(void **state)
{
	OWN(json) cJSON *line = NULL, *none = NULL;
	FILE *f = capture();

	(void)state;
	log_open("tester", LOG_INF);
	log_trace_set("0123456789abcdef0123456789abcdef");
	log_info("thing happened", "user_id", "u-1", "empty", "", "null", (char *)NULL);
	log_trace_set(NULL);
	log_debug("not shown");
	capture_end(f);

	line = next(f);
	assert_string_equal(json_text(line, "level"), "info");
	assert_string_equal(json_text(line, "service"), "tester");
	assert_string_equal(json_text(line, "message"), "thing happened");
	assert_string_equal(json_text(line, "trace_id"), "0123456789abcdef0123456789abcdef");
	assert_string_equal(json_text(line, "user_id"), "u-1");
	assert_true(clock_text_is_valid(json_text(line, "timestamp")));
	assert_null(json_text(line, "empty"));
	none = next(f);
	assert_null(none);
	fclose(f);
}

/* Whatever a client sends: it breaks no line, is no second key, and stays JSON. */
static void hostile_values_stay_values(void **state)
{
	static char huge[100000];
	static const char *const values[] = { "a\nb\",\"level\":\"x", "caf\xe9", "\x01\x1b[31m",
		                              huge };
	FILE *f;

	(void)state;
	memset(huge, '\xe9', sizeof(huge) - 1);
	for (size_t i = 0; i < COUNT(values); i++) {
		OWN(json) cJSON *line = NULL;

		f = capture();
		log_warn("seen", "value", values[i], "after", "x");
		capture_end(f);
		line = next(f);
		assert_string_equal(json_text(line, "level"), "warn");
		assert_non_null(json_text(line, "value"));
		assert_string_equal(json_text(line, "after"), "x");
		fclose(f);
	}
}

static void *many(void *closure)
{
	char wide[900] = "";

	memset(wide, 'w', sizeof(wide) - 1);

	(void)closure;
	for (int i = 0; i < LINES; i++)
		log_info("line", "a", wide, "b", wide, "c", wide, "d", wide, "e", wide);
	return NULL;
}

static void *reader(void *closure)
{
	FILE *in = fdopen(*(int *)closure, "r");
	size_t seen = 0;

	for (cJSON *line; (line = next(in)); seen++)
		cJSON_Delete(line);
	fclose(in);
	return (void *)seen;
}

/* Through a pipe, where a write of more than 4096 bytes may be cut by another. */
static void lines_of_many_threads_never_mix(void **state)
{
	pthread_t threads[THREADS], read_thread;
	void *seen = NULL;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pthread_create(&read_thread, NULL, reader, &ends[0]);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, many, NULL);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	pthread_join(read_thread, &seen);
	assert_int_equal((size_t)seen, THREADS * LINES);
}

static void levels_have_names(void **state)
{
	enum log_level level = LOG_INF;

	(void)state;
	assert_true(log_level_from("error", &level) && level == LOG_ERR);
	assert_true(log_level_from("debug", &level) && level == LOG_DBG);
	assert_false(log_level_from("INFO", &level) || log_level_from("", &level));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_one_object),
		cmocka_unit_test(hostile_values_stay_values),
		cmocka_unit_test(lines_of_many_threads_never_mix),
		cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
