#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stddef.h>

/*
 * What a process counts of itself: the rows of base/metrics.def. Any thread; each value is a counter
 * of its own, so that two of them may be a moment apart.
 */
enum metric_id {
#define METRIC(id, service, name, labels, kind, unit, help) METRIC_##id,
#include "base/metrics.def"
#undef METRIC
	METRIC_COUNT
};

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
	const char *service; /* "*": every one */
	const char *name, *labels;
	enum metric_kind kind;
	const char *unit, *help;
};

extern const struct metric metrics[METRIC_COUNT];

#define METRIC_SERIES_SIZE 160

void metric_add(enum metric_id id, long long n); /* n < 0: only of a gauge */
void metric_set(enum metric_id id, long long value);
long long metric_get(enum metric_id id);

/* "name{labels}", or the name alone. Returns ret. */
const char *metric_series(enum metric_id id, char ret[METRIC_SERIES_SIZE]);

#endif
