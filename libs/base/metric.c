#include "base/metric.h"

#include <stdio.h>

const struct metric metrics[METRIC_COUNT] = {
#define METRIC(id, service, name, labels, kind, unit, help) \
	[METRIC_##id] = { service, name, labels, METRIC_##kind, unit, help },
#include "base/metrics.def"
#undef METRIC
};

static _Atomic long long values[METRIC_COUNT];

void metric_add(enum metric_id id, long long n)
{
	values[id] += n;
}

void metric_set(enum metric_id id, long long value)
{
	values[id] = value;
}

long long metric_get(enum metric_id id)
{
	return values[id];
}

const char *metric_series(enum metric_id id, char ret[METRIC_SERIES_SIZE])
{
	const struct metric *m = &metrics[id];

	if (m->labels[0])
		snprintf(ret, METRIC_SERIES_SIZE, "%s{%s}", m->name, m->labels);
	else
		snprintf(ret, METRIC_SERIES_SIZE, "%s", m->name);
	return ret;
}
