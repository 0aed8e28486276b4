#include "metrics/collect.h"

#include "base/clock.h"
#include "base/json.h"
#include "metrics/prom.h"

#include <sodium.h>

struct inbox {
	natsConnection *conn;
	natsSubscription *sub;
};

static void own_inbox(const struct inbox *in)
{
	bus_unsubscribe(in->conn, in->sub);
}

static int check(natsStatus s, const char *what, struct err *e)
{
	if (s == NATS_OK)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, "%s: %s", what, natsStatus_GetText(s));
}

static int ask(struct inbox *in, struct err *e)
{
	char inbox[80];

	/* Below the inboxes that this daemon's bus user may read. */
	snprintf(inbox, sizeof(inbox), "_INBOX_gateway.figures.%08x%08x", randombytes_random(),
	         randombytes_random());
	if (check(natsConnection_SubscribeSync(&in->sub, in->conn, inbox), "figures", e) < 0 ||
	    check(natsSubscription_SetPendingLimits(in->sub, COLLECT_MAX, -1), "figures", e) < 0 ||
	    check(natsConnection_PublishRequestString(in->conn, "$SRV.STATS", inbox, ""), "figures",
	          e) < 0)
		return -1;
	return 0;
}

/* What is no JSON is not one of ours. */
static int take(natsMsg *msg, cJSON *all, bool *seen, struct err *e)
{
	cJSON *stats = NULL;
	struct err odd = ERR_INIT;
	int daemon;

	if (json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), &stats, &odd) < 0)
		return 0;
	daemon = prom_daemon(stats);
	if (daemon >= 0)
		seen[daemon] = true;
	if (cJSON_AddItemToArray(all, stats))
		return 0;
	cJSON_Delete(stats);
	return err_set(e, ERR_INTERNAL, "out of memory");
}

static bool has_all(const bool *seen)
{
	for (size_t i = 0; prom_daemons[i]; i++)
		if (!seen[i])
			return false;
	return true;
}

int collect(struct bus *b, cJSON **ret, struct err *e)
{
	OWN(json) cJSON *all = cJSON_CreateArray();
	OWN(inbox) struct inbox in = { bus_nats(b), NULL };
	bool seen[16] = { false };
	long long end_ms = clock_mono_ms() + COLLECT_MS;

	if (!all)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (ask(&in, e) < 0)
		return -1;
	for (int count = 0; count < COLLECT_MAX; count++) {
		long long left_ms = end_ms - clock_mono_ms();
		OWN(nats_msg) natsMsg *msg = NULL;

		if (left_ms > COLLECT_MORE_MS && has_all(seen))
			left_ms = COLLECT_MORE_MS;
		if (left_ms <= 0 || natsSubscription_NextMsg(&msg, in.sub, left_ms) != NATS_OK)
			break;
		if (take(msg, all, seen, e) < 0)
			return -1;
	}
	*ret = TAKE(all);
	return 0;
}
