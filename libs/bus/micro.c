#include "bus/bus_internal.h"

#include "base/clock.h"
#include "base/metric.h"

#define VERSION "0.1.0"

/* NATS ADR-32: what the ecosystem's own tools ask each service for. */

static void add_identity(cJSON *doc, const struct bus *b, const char *type)
{
	char full[64];

	snprintf(full, sizeof(full), "io.nats.micro.v1.%s_response", type);
	cJSON_AddStringToObject(doc, "name", b->service);
	cJSON_AddStringToObject(doc, "id", b->instance_id);
	cJSON_AddStringToObject(doc, "version", VERSION);
	cJSON_AddObjectToObject(doc, "metadata");
	cJSON_AddStringToObject(doc, "type", full);
}

static cJSON *add_endpoint(cJSON *list, const struct bus *b, size_t i)
{
	const struct subject *subj = &subjects[b->served->routes[i].subject];
	cJSON *one = cJSON_CreateObject();

	cJSON_AddStringToObject(one, "name", strrchr(subj->name, '.') + 1);
	cJSON_AddStringToObject(one, "subject", subj->name);
	cJSON_AddStringToObject(one, "queue_group", b->service);
	cJSON_AddItemToArray(list, one);
	return one;
}

static void add_info(cJSON *doc, struct bus *b)
{
	cJSON *list;

	cJSON_AddStringToObject(doc, "description", b->served->description);
	list = cJSON_AddArrayToObject(doc, "endpoints");
	for (size_t i = 0; i < b->served->route_count; i++)
		add_endpoint(list, b, i);
}

/* Beside the endpoints: what the process counts of itself (base/metrics.def). */
static void add_metrics(cJSON *doc, const struct bus *b)
{
	cJSON *data = cJSON_AddObjectToObject(doc, "data");

	for (enum metric_id i = 0; i < METRIC_COUNT; i++) {
		const char *of = metrics[i].service;
		char series[METRIC_SERIES_SIZE];

		if (strcmp(of, "*") == 0 || strcmp(of, b->service) == 0)
			cJSON_AddNumberToObject(data, metric_series(i, series),
			                        (double)metric_get(i));
	}
}

static void add_stats(cJSON *doc, struct bus *b)
{
	char started[CLOCK_TEXT_SIZE];
	cJSON *list;

	cJSON_AddStringToObject(doc, "started", clock_text(b->started_ms, started));
	list = cJSON_AddArrayToObject(doc, "endpoints");
	for (size_t i = 0; i < b->served->route_count; i++) {
		cJSON *one = add_endpoint(list, b, i);
		long long requests = b->stats[i].requests, time_ns = b->stats[i].time_ns;

		cJSON_AddNumberToObject(one, "num_requests", (double)requests);
		cJSON_AddNumberToObject(one, "num_errors", (double)b->stats[i].errors);
		cJSON_AddNumberToObject(one, "processing_time", (double)time_ns);
		cJSON_AddNumberToObject(one, "average_processing_time",
		                        requests ? (double)time_ns / (double)requests : 0);
	}
	add_metrics(doc, b);
}

static void on_asked(natsConnection *conn, natsSubscription *sub, natsMsg *raw, void *closure)
{
	static const struct {
		const char *verb, *type;
		void (*add)(cJSON *doc, struct bus *b);
	} verbs[] = {
		{ "PING", "ping", NULL },
		{ "INFO", "info", add_info },
		{ "STATS", "stats", add_stats },
	};
	struct bus *b = closure;
	OWN(nats_msg) natsMsg *msg = raw;
	const char *verb = natsMsg_GetSubject(msg) + strlen("$SRV.");
	size_t len = strcspn(verb, ".");

	(void)sub;
	for (size_t i = 0; natsMsg_GetReply(msg) && i < COUNT(verbs); i++) {
		OWN(json) cJSON *doc = NULL;
		OWN(json_text) char *text = NULL;

		if (strlen(verbs[i].verb) != len || memcmp(verbs[i].verb, verb, len) != 0)
			continue;
		doc = cJSON_CreateObject();
		add_identity(doc, b, verbs[i].type);
		if (verbs[i].add)
			verbs[i].add(doc, b);
		text = cJSON_PrintUnformatted(doc);
		/* Whoever asked asks again: this is monitoring. */
		if (text)
			(void)natsConnection_PublishString(conn, natsMsg_GetReply(msg), text);
	}
}

int bus_micro_serve(struct bus *b, struct err *e)
{
	char by_name[80], by_id[120];

	snprintf(by_name, sizeof(by_name), "$SRV.*.%s", b->service);
	snprintf(by_id, sizeof(by_id), "$SRV.*.%s.%s", b->service, b->instance_id);
	if (bus_subscribe(b, "$SRV.*", NULL, on_asked, b, e) < 0 ||
	    bus_subscribe(b, by_name, NULL, on_asked, b, e) < 0)
		return -1;
	return bus_subscribe(b, by_id, NULL, on_asked, b, e);
}
