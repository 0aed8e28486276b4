#include "metrics/prom.h"

#include "base/json.h"
#include "base/metric.h"
#include "base/own.h"
#include "wire/subject.h"

#include <stdio.h>
#include <string.h>

#define ID_LEN 16 /* of a daemon's process: hex digits, bus_instance_id() */

const char *const prom_daemons[] = { "gateway",         "auth",           "instance-manager",
	                             "realtime-fanout", "storage-backup", NULL };

int prom_daemon(const cJSON *stats)
{
	const char *name = json_text(stats, "name"), *id = json_text(stats, "id");

	if (!name || !id || strlen(id) != ID_LEN || strspn(id, "0123456789abcdef") != ID_LEN)
		return -1;
	for (int i = 0; prom_daemons[i]; i++)
		if (strcmp(prom_daemons[i], name) == 0)
			return i;
	return -1;
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Whose figure it is, as the first labels. */
static void whose(FILE *out, const char *name, const cJSON *stats)
{
	fprintf(out, "%s{service=\"%s\",node=\"%s\"", name, prom_daemons[prom_daemon(stats)],
	        json_text(stats, "id"));
}

static void add_metric(FILE *out, const cJSON *all, enum metric_id id)
{
	const struct metric *m = &metrics[id];
	char series[METRIC_SERIES_SIZE];
	const cJSON *stats;

	if (id == 0 || strcmp(metrics[id - 1].name, m->name) != 0)
		head(out, m->name, m->kind == METRIC_COUNTER ? "counter" : "gauge", m->help);
	metric_series(id, series);
	cJSON_ArrayForEach(stats, all) {
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(
			cJSON_GetObjectItemCaseSensitive(stats, "data"), series);

		if (prom_daemon(stats) < 0 || !cJSON_IsNumber(value))
			continue;
		whose(out, m->name, stats);
		fprintf(out, "%s%s} %.0f\n", m->labels[0] ? "," : "", m->labels,
		        value->valuedouble);
	}
}

static const struct subject *find(const cJSON *endpoint)
{
	const char *name = json_text(endpoint, "subject");

	for (int i = 0; name && i < SUBJ_COUNT; i++)
		if (strcmp(subjects[i].name, name) == 0)
			return &subjects[i];
	return NULL;
}

static const struct call_figure {
	const char *name, *field, *help;
	double unit; /* what a value is divided by */
} calls[] = {
	{ "zaki_bus_requests_total", "num_requests", "Calls on the bus that were answered", 1 },
	{ "zaki_bus_errors_total", "num_errors",
	  "Calls on the bus that were answered with an error", 1 },
	{ "zaki_bus_request_seconds_total", "processing_time",
	  "Seconds that calls on the bus were worked on", 1e9 },
};

static void add_calls(FILE *out, const cJSON *all, const struct call_figure *f)
{
	const cJSON *stats, *one;

	head(out, f->name, "counter", f->help);
	cJSON_ArrayForEach(stats, all) {
		if (prom_daemon(stats) < 0)
			continue;
		cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(stats, "endpoints")) {
			const cJSON *value = cJSON_GetObjectItemCaseSensitive(one, f->field);
			const struct subject *subject = find(one);

			if (!subject || !cJSON_IsNumber(value))
				continue;
			whose(out, f->name, stats);
			fprintf(out, ",subject=\"%s\"} %.9g\n", subject->name,
			        value->valuedouble / f->unit);
		}
	}
}

/* A daemon that does not answer has no figure of its own: that it is missing is one. */
static void add_up(FILE *out, const cJSON *all)
{
	head(out, "zaki_daemons", "gauge", "Processes of a daemon that answer");
	for (int i = 0; prom_daemons[i]; i++) {
		const cJSON *stats;
		int count = 0;

		cJSON_ArrayForEach(stats, all)
			count += prom_daemon(stats) == i;
		fprintf(out, "zaki_daemons{service=\"%s\"} %d\n", prom_daemons[i], count);
	}
}

int prom_text(const cJSON *stats, char **ret, struct err *e)
{
	OWN(mem) char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return err_set(e, ERR_INTERNAL, "out of memory");
	add_up(out, stats);
	for (int i = 0; i < METRIC_COUNT; i++)
		add_metric(out, stats, (enum metric_id)i);
	for (size_t i = 0; i < COUNT(calls); i++)
		add_calls(out, stats, &calls[i]);
	if (fclose(out) != 0)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = TAKE(text);
	return 0;
}
