#include "ws_events.h"

#include "base/json.h"
#include "base/log.h"
#include "bus/delivery.h"
#include "ws_topics.h"

#include <stdatomic.h>

#define WAITING_MAX ((size_t)64 << 20) /* bytes of events that the loop has not come to yet */

struct ws_events {
	struct ws *ws;
	struct bus *bus;
	natsStatistics *heard, *looked; /* of the listener's thread, of the loop's */
	_Atomic size_t waiting;         /* bytes */
	_Atomic bool has_lost;          /* an event was dropped */

	unsigned long long reconnects; /* as of the last event or look; the loop's */
};

/* Of one message, in their order. */
struct event {
	struct event *next;
	struct ws_position at;
	struct ws_text *text;
	char topic[WS_TOPIC_SIZE];
	bool is_over; /* nothing comes after it */
};

struct events {
	struct ws_task task; /* first */
	struct ws_events *from;
	unsigned long long reconnects;
	struct event *first;
	size_t bytes;
};

struct ended {
	struct ws_task task; /* first */
	char session_id[UUID_SIZE];
};

static unsigned long long reconnects_of(struct ws_events *ev, natsStatistics *stats)
{
	uint64_t in_msgs, in_bytes, out_msgs, out_bytes, reconnects = 0;

	if (natsConnection_GetStats(bus_nats(ev->bus), stats) == NATS_OK)
		(void)natsStatistics_GetCounts(stats, &in_msgs, &in_bytes, &out_msgs, &out_bytes,
		                               &reconnects);
	return reconnects;
}

/* The loop's thread. What came after a reconnect must not overtake what was missed during it. */
static void look(struct ws *w, struct ws_events *ev, unsigned long long reconnects)
{
	bool has_lost = atomic_exchange(&ev->has_lost, false);

	if (reconnects <= ev->reconnects && !has_lost)
		return;
	if (reconnects > ev->reconnects)
		ev->reconnects = reconnects;
	ws_topics_resume_all(ws_topics_of(w));
	/* The end of a session may be what was missed. */
	ws_check_all(w);
}

void ws_events_look(struct ws_events *ev)
{
	look(ev->ws, ev, reconnects_of(ev, ev->looked));
}

static void event_free(struct event *v)
{
	if (v->text)
		ws_text_drop(v->text);
	free(v);
}

static void deliver(struct ws *w, struct ws_task *task)
{
	struct events *list = (struct events *)task;
	struct event *v, *next;

	atomic_fetch_sub(&list->from->waiting, list->bytes);
	look(w, list->from, list->reconnects);
	for (v = list->first; v; v = next) {
		next = v->next;
		ws_topics_event(ws_topics_of(w), v->topic, &v->at, v->text);
		if (v->is_over)
			ws_topics_over(ws_topics_of(w), v->topic);
		event_free(v);
	}
	free(list);
}

static int event_fill(struct event *v, const struct delivery *d, struct err *e)
{
	if (strlen(d->topic) >= sizeof(v->topic))
		return err_field(e, "topic", "is none");
	if (!ws_position_parse(d->position, &v->at))
		return err_field(e, "position", "is none");
	memcpy(v->topic, d->topic, strlen(d->topic));
	v->is_over = d->is_over;
	v->text = ws_text_new(d->frame, d->frame_len);
	return v->text ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* All that are in the message; those before one that fails are kept. */
static int events_read(natsMsg *msg, struct events *list, struct err *e)
{
	const char *at = natsMsg_GetData(msg), *end = at + natsMsg_GetDataLength(msg);
	struct event **last = &list->first;

	while (at < end) {
		struct delivery d;
		struct event *v;

		if (delivery_read(&at, end, &d, e) < 0)
			return -1;
		v = calloc(1, sizeof(*v));
		if (!v)
			return err_set(e, ERR_INTERNAL, "out of memory");
		if (event_fill(v, &d, e) < 0) {
			event_free(v);
			return -1;
		}
		*last = v;
		last = &v->next;
		list->bytes += d.frame_len;
	}
	return 0;
}

/* What cannot be taken in has been missed: all topics resume, and it is told then. */
static void on_event(natsMsg *msg, void *ctx)
{
	struct ws_events *ev = ctx;
	struct events *list = NULL;
	struct err e = ERR_INIT;

	if (atomic_load(&ev->waiting) <= WAITING_MAX)
		list = calloc(1, sizeof(*list));
	if (!list) {
		atomic_store(&ev->has_lost, true);
		return;
	}
	list->task.run = deliver;
	list->from = ev;
	list->reconnects = reconnects_of(ev, ev->heard);
	if (events_read(msg, list, &e) < 0) {
		log_error("a delivery is not what it should be", "field", e.field, "error", e.msg);
		atomic_store(&ev->has_lost, true);
	}
	atomic_fetch_add(&ev->waiting, list->bytes);
	ws_post(ev->ws, &list->task);
}

static void close_ended(struct ws *w, struct ws_task *task)
{
	struct ended *d = (struct ended *)task;

	ws_close_session(w, d->session_id, WS_CLOSE_SIGNED_OUT, "the session has ended");
	free(d);
}

static void on_session_ended(natsMsg *msg, void *ctx)
{
	struct ws_events *ev = ctx;
	OWN(arena) struct arena a = { .limit = 4096 };
	OWN(json) cJSON *doc = NULL;
	struct session_ended_evt in;
	struct err e = ERR_INIT;
	struct ended *d;

	if (json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), &doc, &e) < 0 ||
	    wire_decode(&wire_session_ended_evt, doc, NULL, &a, &in, &e) < 0) {
		log_error("an event is not what it should be", "subject", natsMsg_GetSubject(msg),
		          "field", e.field, "error", e.msg);
		return;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return; /* each socket's session is looked at again anyway */
	d->task.run = close_ended;
	memcpy(d->session_id, in.session_id, sizeof(d->session_id));
	ws_post(ev->ws, &d->task);
}

int ws_events_start(struct ws *w, struct ws_events **ret, struct err *e)
{
	struct ws_events *ev = calloc(1, sizeof(*ev));
	struct bus *bus = ws_app(w)->bus;
	char subject[64];

	if (!ev)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = ev;
	ev->ws = w;
	ev->bus = bus;
	if (natsStatistics_Create(&ev->heard) != NATS_OK ||
	    natsStatistics_Create(&ev->looked) != NATS_OK)
		return err_set(e, ERR_INTERNAL, "out of memory");
	ev->reconnects = reconnects_of(ev, ev->looked);
	snprintf(subject, sizeof(subject), "zaki.rt.%s", bus_instance_id(bus));
	if (bus_listen(bus, subject, on_event, ev, e) < 0)
		return -1;
	return bus_listen(bus, subjects[SUBJ_EVT_SESSION_ENDED].name, on_session_ended, ev, e);
}

void ws_events_free(struct ws_events *ev)
{
	if (!ev)
		return;
	natsStatistics_Destroy(ev->heard);
	natsStatistics_Destroy(ev->looked);
	free(ev);
}
