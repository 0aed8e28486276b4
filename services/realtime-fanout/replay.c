#include "replay.h"

#include "base/clock.h"
#include "base/log.h"
#include "deliver.h"
#include "fetch.h"

#define BATCH       128
#define REPLAY_MS   3500               /* for all of it; whoever asks waits for 5000 */
#define INACTIVE_NS (5LL * 1000000000) /* a reader that was left behind goes after this */

/* What one replay gathers. */
struct gather {
	const struct topic *topic;
	const struct stream_state *now;
	struct arena *arena;
	char *text; /* REPLAY_BYTES_MAX */
	size_t used;
	uint64_t delivered; /* messages that the server has sent us */
	bool is_whole;      /* false: there is more than may be told */
	bool is_done;
};

static void gather_text(struct gather *g, const char *text)
{
	size_t len = strlen(text);

	if (g->used + len + 2 > REPLAY_BYTES_MAX) {
		g->is_whole = false;
		return;
	}
	memcpy(g->text + g->used, text, len + 1);
	g->used += len;
}

/* One message: in or not, and whether it is the last. */
static int gather_one(struct gather *g, natsMsg *msg, struct err *e)
{
	OWN(json_text) char *frame = NULL;
	char event[TOPIC_EVENT_SIZE];
	struct err why = ERR_INIT;
	struct topic topic;
	struct stored ev;

	if (stored_read(msg, g->now->id, &ev, e) < 0)
		return -1;
	/* One that did not come must not be taken for one that never was. */
	if (ev.delivered != ++g->delivered)
		return err_set(e, ERR_UNAVAILABLE, "a message of the stream did not come");
	g->is_done |= ev.position.seq >= g->now->last_seq;
	if (ev.position.seq > g->now->last_seq ||
	    !topic_of_subject(natsMsg_GetSubject(msg), &topic, event) ||
	    !topic_equals(&topic, g->topic))
		return 0;
	/* What could not be shown when it happened is not shown now. */
	if (stored_frame(&ev, &topic, event, &frame, &why) < 0)
		return 0;
	gather_text(g, g->used > 1 ? "," : "");
	gather_text(g, frame);
	return 0;
}

static int read_all(struct gather *g, struct fetch *from, uint64_t pending, struct err *e)
{
	long long until_ms = clock_mono_ms() + REPLAY_MS;

	while (pending > 0 && g->is_whole && !g->is_done) {
		int left_ms = (int)(until_ms - clock_mono_ms());
		OWN(nats_msg) natsMsg *msg = NULL;

		if (left_ms <= 0)
			return err_set(e, ERR_UNAVAILABLE, "replay takes too long");
		if (from->asked <= 0 &&
		    fetch_ask(from, pending < BATCH ? (int)pending : BATCH, left_ms, e) < 0)
			return -1;
		if (fetch_next(from, left_ms, &msg, e) < 0 || (msg && gather_one(g, msg, e) < 0))
			return -1;
		pending -= msg != NULL;
	}
	return 0;
}

/* A consumer for this one reading, of the assistant's events alone. */
static int reader_open(jsCtx *js, const struct topic *topic, uint64_t after_seq,
                       jsConsumerInfo **ret, struct err *e)
{
	char filter[TOPIC_FILTER_SIZE];
	jsConsumerConfig cfg;
	jsErrCode code = 0;

	topic_filter(topic, filter);
	jsConsumerConfig_Init(&cfg);
	cfg.AckPolicy = js_AckNone;
	cfg.DeliverPolicy = js_DeliverByStartSequence;
	cfg.OptStartSeq = after_seq + 1;
	cfg.FilterSubject = filter;
	cfg.InactiveThreshold = INACTIVE_NS;
	cfg.MemoryStorage = true;
	cfg.Replicas = 1;
	return stream_check(js_AddConsumer(ret, js, STREAM_NAME, &cfg, NULL, &code), code, "replay",
	                    e);
}

static int reader_read(struct bus *b, struct gather *g, const jsConsumerInfo *info, struct err *e)
{
	OWN(fetch) struct fetch from = { 0 };

	if (info->NumPending > REPLAY_EVENTS_MAX) {
		g->is_whole = false;
		return 0;
	}
	if (info->NumPending == 0)
		return 0;
	return fetch_open(b, info->Name, &from, e) < 0 ? -1
	                                               : read_all(g, &from, info->NumPending, e);
}

int replay(const struct stream_conn *conn, const struct topic *topic, const struct position *since,
           const struct stream_state *now, struct arena *a, const char **ret_events, struct err *e)
{
	struct gather g = { .topic = topic, .now = now, .arena = a, .is_whole = true };
	jsConsumerInfo *info = NULL;
	int r;

	*ret_events = NULL;
	if (strcmp(since->id, now->id) != 0 || since->seq > now->last_seq ||
	    since->seq + 1 < now->first_seq)
		return 0;
	g.text = arena_alloc(a, REPLAY_BYTES_MAX);
	if (!g.text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	gather_text(&g, "[");

	if (since->seq < now->last_seq) {
		if (reader_open(conn->js, topic, since->seq, &info, e) < 0)
			return -1;
		r = reader_read(conn->bus, &g, info, e);
		(void)js_DeleteConsumer(conn->js, STREAM_NAME, info->Name, NULL, NULL);
		jsConsumerInfo_Destroy(info);
		if (r < 0)
			return -1;
	}
	gather_text(&g, "]");
	if (g.is_whole)
		*ret_events = g.text;
	return 0;
}
