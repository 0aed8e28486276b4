#include "bus/bus_internal.h"

#include "base/clock.h"
#include "base/fault.h"

#define ACK_MS 2000 /* how long the stream may take to say that it has an event */

int bus_event_text(enum subject_id id, const void *in, char **ret, struct err *e)
{
	OWN(json) cJSON *doc = NULL;

	if (wire_encode(subjects[id].in, in, NULL, &doc, e) < 0)
		return -1;
	*ret = cJSON_PrintUnformatted(doc);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* "zaki.evt.instance.*.status" and an id, into buf. */
static int subject_fill(const char *pattern, const char *key, char *buf, size_t size, struct err *e)
{
	const char *star = strchr(pattern, '*');

	if (!star || !uuid_is_valid(key))
		return err_set(e, ERR_INTERNAL, "%s: an event needs the id it is about", pattern);
	snprintf(buf, size, "%.*s%s%s", (int)(star - pattern), pattern, key, star + 1);
	return 0;
}

int bus_event_publish(struct bus *b, const struct bus_event *ev, struct err *e)
{
	struct bus_ctx ctx = { 0 };
	OWN(nats_msg) natsMsg *msg = NULL;
	jsPubOptions opts;
	char subject[160], time[CLOCK_TEXT_SIZE];
	natsStatus s;

	if (subject_fill(subjects[ev->subject].name, ev->key, subject, sizeof(subject), e) < 0)
		return -1;
	if (!bus_is_connected(b))
		return err_busy(e, ERR_UNAVAILABLE, 1, "not connected to the bus");

	snprintf(ctx.trace_id, sizeof(ctx.trace_id), "%s", ev->trace_id ? ev->trace_id : "");
	s = natsMsg_Create(&msg, subject, NULL, ev->json, (int)strlen(ev->json));
	if (s != NATS_OK)
		return bus_from_nats(s, subject, e);
	bus_ctx_to_headers(&ctx, 0, msg);
	s = natsMsgHeader_Set(msg, "Zaki-Time", clock_text(ev->time_ms, time));
	if (s == NATS_OK)
		s = jsPubOptions_Init(&opts);
	if (s == NATS_OK) {
		opts.MsgId = ev->msg_id;
		opts.MaxWait = fault_patience(ACK_MS);
		s = js_PublishMsg(NULL, b->js, msg, &opts, NULL);
	}
	/* No ack is no proof that it is not there: msg_id lets it be sent again. */
	if (s == NATS_TIMEOUT)
		s = NATS_NO_RESPONDERS;
	return bus_from_nats(s, subject, e);
}
