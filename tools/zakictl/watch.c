#include "watch.h"

#include "base/fault.h"
#include "bus/bus.h"

#define CONNECT_MS 2000

/* clang-format off */
const struct conf_key watch_conf[WATCH_CONF_COUNT] = {
	{ "NATS_URL", CONF_STR, offsetof(struct watch, nats_url), NULL, 8, 4096, true,
	  "NATS server, as the operator's user" },
};
/* clang-format on */

int watch_check(natsStatus s, const char *what, struct err *e)
{
	if (s == NATS_OK)
		return 0;
	return err_set(e, s == NATS_NO_SERVER ? ERR_UNAVAILABLE : ERR_INTERNAL, "%s: %s", what,
	               natsStatus_GetText(s));
}

int watch_open(struct watch *w, struct err *e)
{
	natsOptions *o = NULL;
	natsStatus s;

	if (conf_load(watch_conf, WATCH_CONF_COUNT, w, e) < 0)
		return -1;
	s = natsOptions_Create(&o);
	if (s == NATS_OK)
		s = bus_address(o, w->nats_url);
	if (s == NATS_OK)
		s = natsOptions_SetName(o, "zakictl");
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(o, fault_patience(CONNECT_MS));
	if (s == NATS_OK)
		s = natsOptions_SetCustomInboxPrefix(o, WATCH_INBOXES);
	if (s == NATS_OK)
		s = natsOptions_SetMaxReconnect(o, -1);
	if (s == NATS_OK)
		s = natsConnection_Connect(&w->conn, o);
	natsOptions_Destroy(o);
	return watch_check(s, "NATS_URL", e);
}

void watch_close(struct watch *w)
{
	natsConnection_Destroy(w->conn);
	w->conn = NULL;
}
