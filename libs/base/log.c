#include "base/log.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/utf8.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>

#define VALUE_SIZE 1024 /* bytes of one value that are kept, and its zero */

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static const char *service_name = "?";
static enum log_level level_min = LOG_INF;
static _Thread_local char trace[33];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards standard error */

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

/* Under the lock: a pipe takes more than 4096 bytes in pieces. A log that cannot be written leaves
 * nobody to tell. */
static void put(const char *text, size_t len)
{
	pthread_mutex_lock(&lock);
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, text, len);

		if (n < 0 && errno != EINTR)
			break;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	pthread_mutex_unlock(&lock);
}

void log_line(enum log_level level, const char *msg, ...)
{
	OWN(json) cJSON *line = NULL;
	OWN(json_text) char *text = NULL;
	char ts[CLOCK_TEXT_SIZE], kept[VALUE_SIZE];
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

		if (!value || !value[0])
			continue;
		utf8_copy(kept, sizeof(kept), value);
		cJSON_AddStringToObject(line, key, kept);
	}
	va_end(ap);

	text = cJSON_PrintUnformatted(line);
	if (!text)
		return;
	/* The zero at the end becomes the newline, so that the line is one write. */
	len = strlen(text);
	text[len] = '\n';
	put(text, len + 1);
}
