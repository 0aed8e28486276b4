#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * One JSON object per line on stderr. The message is a constant; what varies goes in key/value
 * pairs, so that a line can be searched for:
 *
 *	log_info("instance started", "instance_id", id, "image", image);
 *
 * Only services, libs/bus and libs/svc log. Never pass a secret. Any thread; lines never mix. A
 * value is cut after a kilobyte, and what is no UTF-8 in it shows as '?'.
 */
enum log_level { LOG_DBG, LOG_INF, LOG_WRN, LOG_ERR };

void log_open(const char *service, enum log_level min);
bool log_level_from(const char *name, enum log_level *ret); /* "debug" "info" "warn" "error" */
void log_line(enum log_level level, const char *msg, ...) __attribute__((sentinel));

/* The trace id that this thread's lines carry until it is set anew; NULL or "": none. Copied. */
void log_trace_set(const char *trace_id);

#define log_debug(...) log_line(LOG_DBG, __VA_ARGS__, (char *)NULL)
#define log_info(...)  log_line(LOG_INF, __VA_ARGS__, (char *)NULL)
#define log_warn(...)  log_line(LOG_WRN, __VA_ARGS__, (char *)NULL)
#define log_error(...) log_line(LOG_ERR, __VA_ARGS__, (char *)NULL)

#endif
