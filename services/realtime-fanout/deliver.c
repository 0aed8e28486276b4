#include "deliver.h"

#include "base/clock.h"
#include "base/log.h"
#include "frame.h"
#include "interest.h"
#include "topic.h"

#define ARENA_LIMIT ((size_t)64 * 1024) /* for the ids of gateways */

struct listeners {
	const char **ids; /* of gateways */
	size_t count;
};

static const char *header(natsMsg *msg, const char *name)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, name, &value) == NATS_OK && value ? value : "";
}

int stored_read(natsMsg *msg, const char *stream_id, struct stored *ret, struct err *e)
{
	jsMsgMetaData *meta = NULL;

	if (natsMsg_GetMetaData(&meta, msg) != NATS_OK)
		return err_set(e, ERR_INTERNAL, "a message that is not from a stream");
	*ret = (struct stored){ .msg = msg, .stored_ms = meta->Timestamp / 1000000 };
	snprintf(ret->position.id, sizeof(ret->position.id), "%s", stream_id);
	ret->position.seq = meta->Sequence.Stream;
	jsMsgMetaData_Destroy(meta);
	return 0;
}

int stored_frame(const struct stored *ev, const struct topic *topic, const char *event, char **ret,
                 struct err *e)
{
	char text[TOPIC_TEXT_SIZE], position[POSITION_TEXT_SIZE], trace[BUS_TRACE_SIZE];
	char stored_at[CLOCK_TEXT_SIZE];
	const char *time = header(ev->msg, "Zaki-Time");
	struct frame_in in = {
		.event = event,
		.topic = text,
		.position = position,
		.ts = clock_text_is_valid(time) ? time : clock_text(ev->stored_ms, stored_at),
		.trace_id = trace,
		.body = natsMsg_GetData(ev->msg),
		.body_len = (size_t)natsMsg_GetDataLength(ev->msg),
	};

	topic_text(topic, text);
	position_text(&ev->position, position);
	bus_trace_of(ev->msg, trace);
	return frame_make(&in, ret, e);
}

static int tell(struct bus *b, const struct stored *ev, const struct topic *topic,
                const char *gateway_id, const char *frame, struct err *e)
{
	OWN(nats_msg) natsMsg *msg = NULL;
	char subject[96], text[TOPIC_TEXT_SIZE], position[POSITION_TEXT_SIZE];
	const char *trace = header(ev->msg, "traceparent");
	natsStatus s;

	snprintf(subject, sizeof(subject), "zaki.rt.%s", gateway_id);
	topic_text(topic, text);
	position_text(&ev->position, position);
	s = natsMsg_Create(&msg, subject, NULL, frame, (int)strlen(frame));
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, "Zaki-Topic", text);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, "Zaki-Position", position);
	if (s == NATS_OK && trace[0])
		s = natsMsgHeader_Set(msg, "traceparent", trace);
	return s == NATS_OK ? bus_tell(b, msg, e) : err_set(e, ERR_INTERNAL, "out of memory");
}

static void pass_over(const struct stored *ev, const struct err *why)
{
	char position[POSITION_TEXT_SIZE];

	position_text(&ev->position, position);
	log_warn("event cannot be shown, passed over", "subject", natsMsg_GetSubject(ev->msg),
	         "position", position, "error", why->msg);
}

/* One message to each of the gateways. */
static int send_all(struct bus *b, const struct stored *ev, const struct topic *topic,
                    const char *event, const struct listeners *to, struct err *e)
{
	OWN(json_text) char *frame = NULL;

	if (stored_frame(ev, topic, event, &frame, e) < 0)
		return -1;
	for (size_t i = 0; i < to->count; i++)
		if (tell(b, ev, topic, to->ids[i], frame, e) < 0)
			return -1;
	return 0;
}

int deliver(struct bus *b, struct redis *r, const struct stored *ev, struct err *e)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	char event[TOPIC_EVENT_SIZE], text[TOPIC_TEXT_SIZE];
	struct listeners to = { 0 };
	struct topic topic;

	if (!topic_of_subject(natsMsg_GetSubject(ev->msg), &topic, event))
		return 0;
	topic_text(&topic, text);
	/* Whatever is wrong here is not the event's fault: it waits. */
	if (interest_find(r, text, &a, &to.ids, &to.count, e) < 0)
		return -1;
	if (to.count == 0 || send_all(b, ev, &topic, event, &to, e) == 0)
		return 0;
	if (e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT)
		return -1;
	pass_over(ev, e);
	return 0;
}
