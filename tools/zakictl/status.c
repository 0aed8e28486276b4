/* zakictl status: which daemons answer, and what they have done since they started. */

#include "command.h"
#include "watch.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/own.h"
#include "base/uuid.h"
#include "bus/bus.h"

#define ANSWER_MS 1500 /* for the first of each daemon */
#define MORE_MS   200  /* for further ones of the same, once each has answered */

static const char *const daemons[] = { "gateway", "auth", "instance-manager", "realtime-fanout",
	                               "storage-backup" };

struct seen {
	size_t count[COUNT(daemons)];
};

static double sum(const cJSON *stats, const char *key)
{
	const cJSON *one, *endpoints = cJSON_GetObjectItemCaseSensitive(stats, "endpoints");
	double total = 0;

	cJSON_ArrayForEach(one, endpoints) {
		const cJSON *n = cJSON_GetObjectItemCaseSensitive(one, key);

		total += cJSON_IsNumber(n) ? n->valuedouble : 0;
	}
	return total;
}

static const char *text(const cJSON *obj, const char *key)
{
	const char *s = json_text(obj, key);

	return s ? s : "?";
}

static void print_row(const cJSON *stats)
{
	double calls = sum(stats, "num_requests"), spent_ns = sum(stats, "processing_time");

	printf("%-18s %-18s %-10s %-24s %10.0f %8.0f %10.2f\n", text(stats, "name"),
	       text(stats, "id"), text(stats, "version"), text(stats, "started"), calls,
	       sum(stats, "num_errors"), calls > 0 ? spent_ns / calls / 1e6 : 0);
}

static void note(natsMsg *msg, struct seen *seen)
{
	OWN(json) cJSON *stats = NULL;
	struct err e = ERR_INIT;
	const char *name;

	/* Other people's services may answer here too: they are listed, and not counted. */
	if (json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), &stats, &e) < 0)
		return;
	name = text(stats, "name");
	for (size_t i = 0; i < COUNT(daemons); i++)
		seen->count[i] += strcmp(daemons[i], name) == 0;
	print_row(stats);
}

static bool has_all(const struct seen *seen)
{
	for (size_t i = 0; i < COUNT(daemons); i++)
		if (!seen->count[i])
			return false;
	return true;
}

static void collect(natsSubscription *sub, struct seen *seen)
{
	long long until_ms = clock_mono_ms() + fault_patience(ANSWER_MS), left;
	natsMsg *msg = NULL;
	bool is_last = false;

	while ((left = until_ms - clock_mono_ms()) > 0 &&
	       natsSubscription_NextMsg(&msg, sub, left) == NATS_OK) {
		note(msg, seen);
		natsMsg_Destroy(msg);
		if (!is_last && has_all(seen)) {
			is_last = true;
			until_ms = clock_mono_ms() + MORE_MS;
		}
	}
}

static int ask(struct watch *w, struct seen *seen, struct err *e)
{
	natsSubscription *sub = NULL;
	char inbox[64], random[33];
	natsStatus s;

	random_hex(16, random);
	snprintf(inbox, sizeof(inbox), WATCH_INBOXES ".%s", random);
	s = natsConnection_SubscribeSync(&sub, w->conn, inbox);
	if (s == NATS_OK)
		s = natsConnection_PublishRequestString(w->conn, "$SRV.STATS", inbox, "");
	if (s == NATS_OK)
		collect(sub, seen);
	bus_unsubscribe(w->conn, sub);
	return watch_check(s, "asking", e);
}

static int run(int argc, char **argv, struct err *e)
{
	OWN(watch) struct watch w = { 0 };
	struct seen seen = { 0 };
	int missing = 0;

	if (argc > 0)
		return err_field(e, argv[0], "is not known here: status takes no arguments");
	if (watch_open(&w, e) < 0)
		return -1;
	printf("%-18s %-18s %-10s %-24s %10s %8s %10s\n", "SERVICE", "ID", "VERSION", "STARTED",
	       "CALLS", "ERRORS", "MEAN MS");
	if (ask(&w, &seen, e) < 0)
		return -1;

	for (size_t i = 0; i < COUNT(daemons); i++) {
		if (seen.count[i])
			continue;
		printf("%-18s does not answer\n", daemons[i]);
		missing++;
	}
	return missing ? err_set(e, ERR_UNAVAILABLE, "%d of %zu daemons do not answer", missing,
	                         COUNT(daemons))
	               : 0;
}

const struct command command_status = {
	.name = "status",
	.usage = "",
	.summary = "lists the daemons and what they have done; exit status 1 when one is missing",
	.help = "",
	.conf = watch_conf,
	.conf_count = WATCH_CONF_COUNT,
	.run = run,
};
