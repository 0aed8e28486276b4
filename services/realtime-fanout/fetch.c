#include "fetch.h"

#include "base/clock.h"

#define GRACE_MS 2000 /* past a request's end, for the server to say so */

static const char *header(natsMsg *msg, const char *name)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, name, &value) == NATS_OK && value ? value : "";
}

int fetch_open(struct bus *b, const char *consumer, struct fetch *ret, struct err *e)
{
	*ret = (struct fetch){ .conn = bus_nats(b) };
	bus_inbox(b, ret->inbox);
	snprintf(ret->next, sizeof(ret->next), "$JS.API.CONSUMER.MSG.NEXT." STREAM_NAME ".%s",
	         consumer);
	return stream_check(natsConnection_SubscribeSync(&ret->sub, ret->conn, ret->inbox), 0,
	                    "reading the stream", e);
}

void fetch_close(struct fetch *f)
{
	bus_unsubscribe(f->conn, f->sub);
	f->sub = NULL;
}

int fetch_ask(struct fetch *f, int count, int expires_ms, struct err *e)
{
	char text[80];

	snprintf(text, sizeof(text), "{\"batch\":%d,\"expires\":%lld}", count,
	         expires_ms * 1000000LL);
	f->asked += count;
	f->until_ms = clock_mono_ms() + expires_ms + GRACE_MS;
	return stream_check(natsConnection_PublishRequestString(f->conn, f->next, f->inbox, text),
	                    0, "reading the stream", e);
}

/* What the server says beside messages: that a request has ended, and with how many unsent. */
static int on_status(struct fetch *f, natsMsg *msg, const char *status, struct err *e)
{
	const char *left = header(msg, "Nats-Pending-Messages");

	if (strcmp(status, "408") != 0 && strcmp(status, "404") != 0)
		return err_set(e, ERR_UNAVAILABLE, "reading the stream: %s %s", status,
		               header(msg, "Description"));
	f->asked -= left[0] ? (int)strtol(left, NULL, 10) : f->asked;
	return 0;
}

int fetch_next(struct fetch *f, int wait_ms, natsMsg **ret, struct err *e)
{
	natsMsg *msg = NULL;
	natsStatus s;
	int r = 0;

	*ret = NULL;
	for (;;) {
		const char *status;

		s = natsSubscription_NextMsg(&msg, f->sub, wait_ms);
		if (s != NATS_OK)
			break;
		status = natsMsg_GetDataLength(msg) == 0 ? header(msg, "Status") : "";
		if (!status[0]) {
			f->asked--;
			*ret = msg;
			return 0;
		}
		r = on_status(f, msg, status, e);
		natsMsg_Destroy(msg);
		if (r < 0 || f->asked <= 0)
			return r;
	}
	if (clock_mono_ms() > f->until_ms)
		f->asked = 0;
	return s == NATS_TIMEOUT ? 0 : stream_check(s, 0, "reading the stream", e);
}
