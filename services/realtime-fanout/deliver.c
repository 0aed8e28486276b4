#include "deliver.h"

#include "base/clock.h"
#include "base/log.h"
#include "frame.h"

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
	ret->delivered = meta->Sequence.Consumer;
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

static void pass_over(const struct stored *ev, const struct err *why)
{
	char position[POSITION_TEXT_SIZE];

	position_text(&ev->position, position);
	log_warn("event cannot be shown, passed over", "subject", natsMsg_GetSubject(ev->msg),
	         "position", position, "error", why->msg);
}

static int send_all(struct outbox *o, const struct stored *ev, const struct recipient *to,
                    struct err *e)
{
	OWN(json_text) char *frame = NULL;
	struct delivery d = { .is_over = topic_is_over(ev->event) };

	if (stored_frame(ev, &to->topic, ev->event, &frame, e) < 0)
		return -1;
	position_text(&ev->position, d.position);
	memcpy(d.topic, to->text, sizeof(to->text));
	d.frame = frame;
	d.frame_len = strlen(frame);
	for (size_t i = 0; i < to->gateways.count; i++)
		if (outbox_add(o, to->gateways.ids[i], &d, e) < 0)
			return -1;
	return 0;
}

static void add_recipient(struct stored *ev, const struct topic *topic)
{
	struct recipient *to = &ev->to[ev->to_count++];

	to->topic = *topic;
	topic_text(topic, to->text);
}

static void find_topics(struct stored *ev)
{
	struct topic topic;

	ev->to_count = 0;
	if (!topic_of_subject(natsMsg_GetSubject(ev->msg), &topic, ev->event))
		return;
	if (!topic_is_over(ev->event)) {
		add_recipient(ev, &topic);
		return;
	}
	for (size_t i = 0; topic_name(i); i++) {
		snprintf(topic.name, sizeof(topic.name), "%s", topic_name(i));
		add_recipient(ev, &topic);
	}
}

int deliver_find(struct redis *r, struct stored *evs, size_t count, struct arena *a, struct err *e)
{
	const char **topics = arena_alloc(a, (count * TOPIC_NAMES_MAX + 1) * sizeof(*topics));
	struct interest *found = arena_alloc(a, (count * TOPIC_NAMES_MAX + 1) * sizeof(*found));
	size_t n = 0, k = 0;

	if (!topics || !found)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < count; i++) {
		find_topics(&evs[i]);
		for (size_t j = 0; j < evs[i].to_count; j++)
			topics[n++] = evs[i].to[j].text;
	}
	if (interest_find(r, topics, n, a, found, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < evs[i].to_count; j++)
			evs[i].to[j].gateways = found[k++];
	return 0;
}

int deliver(struct outbox *o, const struct stored *ev, struct err *e)
{
	for (size_t i = 0; i < ev->to_count; i++) {
		if (ev->to[i].gateways.count == 0 || send_all(o, ev, &ev->to[i], e) == 0)
			continue;
		if (e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT)
			return -1;
		pass_over(ev, e);
	}
	return 0;
}
