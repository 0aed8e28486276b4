#include "base/log.h"

#include "base/clock.h"
#include "base/own.h"

#include <stdarg.h>
#include <unistd.h>

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static const char *service_name = "?";
static enum log_level level_min = LOG_INF;
static _Thread_local char trace[33];

void log_open(const char *service, enum log_level min)
{
	service_name = service;
	level_min = min;
}

bool log_level_from(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < COUNT(level_names); i++) {
		if (strcmp(level_names[i], name) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_trace_set(const char *trace_id)
{
	snprintf(trace, sizeof(trace), "%s", trace_id ? trace_id : "");
}

void log_line(enum log_level level, const char *msg, ...)
{
	OWN(json) cJSON *line = NULL;
	OWN(json_text) char *text = NULL;
	char ts[CLOCK_TEXT_SIZE];
	const char *key;
	size_t len;
	va_list ap;

	if (level < level_min)
		return;

	line = cJSON_CreateObject();
	cJSON_AddStringToObject(line, "timestamp", clock_text(clock_now_ms(), ts));
	cJSON_AddStringToObject(line, "level", level_names[level]);
	cJSON_AddStringToObject(line, "service", service_name);
	cJSON_AddStringToObject(line, "message", msg);
	if (trace[0])
		cJSON_AddStringToObject(line, "trace_id", trace);

	va_start(ap, msg);
	while ((key = va_arg(ap, const char *))) {
		const char *value = va_arg(ap, const char *);

		if (value && value[0])
			cJSON_AddStringToObject(line, key, value);
	}
	va_end(ap);

	text = cJSON_PrintUnformatted(line);
	if (!text)
		return;
	/* The zero at the end becomes the newline, so that the line is one write. A log that cannot
	 * be written leaves nobody to tell. */
	len = strlen(text);
	text[len] = '\n';
	if (write(STDERR_FILENO, text, len + 1) < 0)
		return;
}
