#include "base/fault.h"
#include "bus/bus_internal.h"
#include "bus/envelope.h"

#include <errno.h>

static int number_in(const char *text, long lo, long hi, int fallback)
{
	char *end = NULL;
	long value = strtol(text, &end, 10);

	return text[0] && !*end && value >= lo && value <= hi ? (int)value : fallback;
}

static int request_make(struct bus *b, const struct bus_to *to, const struct bus_ctx *ctx,
                        const void *in, natsMsg **ret, struct err *e)
{
	const struct subject *subj = &subjects[to->subject];
	char name[BUS_SUBJECT_SIZE];
	OWN(json) cJSON *doc = NULL;
	OWN(json_text) char *text = NULL;

	if (wire_encode(subj->in, in, b->seal, &doc, e) < 0)
		return -1;
	text = cJSON_PrintUnformatted(doc);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	snprintf(name, sizeof(name), "%s%s%s", subj->name, to->node ? "." : "",
	         to->node ? to->node : "");
	if (bus_from_nats(natsMsg_Create(ret, name, NULL, text, (int)strlen(text)), subj->name, e) <
	    0)
		return -1;
	bus_ctx_to_headers(ctx, fault_patience(subj->timeout_ms), *ret);
	return 0;
}

static int forward(struct bus *b, const struct bus_to *to, const struct bus_ctx *ctx,
                   const void *in, struct bus_answer *ret, struct err *e)
{
	const struct subject *subj = &subjects[to->subject];
	OWN(nats_msg) natsMsg *msg = NULL;
	natsMsg *reply = NULL;
	natsStatus s;

	/* cnats would keep it until the server is back: the caller has long been told 503 by then. */
	if (!bus_is_connected(b))
		return err_busy(e, ERR_UNAVAILABLE, 1, "not connected to the bus");
	fault_delay("bus.call");
	bus_msg_keep();
	if (request_make(b, to, ctx, in, &msg, e) < 0)
		return -1;
	s = natsConnection_RequestMsg(&reply, b->conn, msg, fault_patience(subj->timeout_ms));
	/* The connection was lost since we looked, and what was to be sent waits for the next. */
	if (s == NATS_TIMEOUT && !bus_is_connected(b))
		s = NATS_CONNECTION_DISCONNECTED;
	if (bus_from_nats(s, subj->name, e) < 0)
		return -1;

	*ret = (struct bus_answer){
		.status = number_in(bus_header(reply, "Zaki-Status"), 200, 599, 500),
		.retry_after_s = number_in(bus_header(reply, "Zaki-Retry-After"), 0, 86400, 0),
		.data = natsMsg_GetData(reply),
		.len = (size_t)natsMsg_GetDataLength(reply),
		.msg = reply,
	};
	return 0;
}

int bus_forward(struct bus *b, enum subject_id id, const struct bus_ctx *ctx, const void *in,
                struct bus_answer *ret, struct err *e)
{
	return forward(b, &(struct bus_to){ id, NULL }, ctx, in, ret, e);
}

void bus_answer_done(struct bus_answer *answer)
{
	bus_msg_done(answer->msg);
	*answer = (struct bus_answer){ 0 };
}

int bus_answer_open(struct bus *b, enum subject_id id, const struct bus_answer *answer,
                    struct arena *a, void *out, struct err *e)
{
	return envelope_open(answer->data, answer->len, subjects[id].out, b->seal, a, out, e);
}

int bus_call(struct bus *b, enum subject_id id, const struct bus_ctx *ctx, const void *in,
             struct arena *a, void *out, struct err *e)
{
	OWN(bus_answer) struct bus_answer answer = { 0 };

	if (bus_forward(b, id, ctx, in, &answer, e) < 0)
		return -1;
	return bus_answer_open(b, id, &answer, a, out, e);
}

int bus_call_at(struct bus *b, const struct bus_to *to, const struct bus_ctx *ctx, const void *in,
                struct arena *a, void *out, struct err *e)
{
	OWN(bus_answer) struct bus_answer answer = { 0 };

	if (forward(b, to, ctx, in, &answer, e) < 0)
		return -1;
	return bus_answer_open(b, to->subject, &answer, a, out, e);
}
