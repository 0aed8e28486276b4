#include "replay.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "deliver.h"
#include "fetch.h"

#define BATCH       128
#define REPLAY_MS   3500               /* for one answer */
#define REPLY_MS    500                /* of the asker's time, for the answer to come back in */
#define LEAST_MS    1500               /* with less it is not begun */
#define PART_MIN    16                 /* messages of the stream: fewer are no progress */
#define INACTIVE_NS (5LL * 1000000000) /* a reader that was left behind goes after this */

/* What one replay gathers. */
struct gather {
	const struct topic *topic;
	const struct stream_state *now;
	struct arena *arena;
	char *text; /* REPLAY_BYTES_MAX */
	size_t used;
	uint64_t delivered; /* messages that the server has sent us */
	uint64_t seq;       /* of the last of them */
	bool is_whole;      /* false: there is more than may be told */
	bool is_done, is_late;
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

	fault_delay("replay.message");
	if (stored_read(msg, g->now->id, &ev, e) < 0)
		return -1;
	/* One that did not come must not be taken for one that never was. */
	if (ev.delivered != ++g->delivered)
		return err_set(e, ERR_UNAVAILABLE, "a message of the stream did not come");
	g->is_done |= ev.position.seq >= g->now->last_seq;
	if (ev.position.seq > g->now->last_seq)
		return 0;
	g->seq = ev.position.seq;
	if (!topic_of_subject(natsMsg_GetSubject(msg), &topic, event) ||
	    !topic_hears(g->topic, &topic, event))
		return 0;
	/* What could not be shown when it happened is not shown now. */
	if (stored_frame(&ev, g->topic, event, &frame, &why) < 0)
		return 0;
	gather_text(g, g->used > 1 ? "," : "");
	gather_text(g, frame);
	return 0;
}

/* *pending: how many there are; in the end, how many of them did not come. */
static int read_all(struct gather *g, struct fetch *from, uint64_t *pending, long long until_ms,
                    struct err *e)
{
	while (*pending > 0 && g->is_whole && !g->is_done) {
		int left_ms = (int)(until_ms - clock_mono_ms());
		OWN(nats_msg) natsMsg *msg = NULL;

		if (left_ms <= 0) {
			g->is_late = true;
			break;
		}
		if (from->asked <= 0 &&
		    fetch_ask(from, *pending < BATCH ? (int)*pending : BATCH, left_ms, e) < 0)
			return -1;
		if (fetch_next(from, left_ms, &msg, e) < 0 || (msg && gather_one(g, msg, e) < 0))
			return -1;
		*pending -= msg != NULL;
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

static int reader_read(const struct replay_ask *ask, struct gather *g, const jsConsumerInfo *info,
                       long long until_ms, struct err *e)
{
	uint64_t pending = info->NumPending;
	OWN(fetch) struct fetch from = { 0 };
	struct stream_state then;

	if (pending > REPLAY_EVENTS_MAX) {
		g->is_whole = false;
		return 0;
	}
	if (pending == 0)
		return 0;
	if (fetch_open(ask->conn->bus, info->Name, &from, e) < 0 ||
	    read_all(g, &from, &pending, until_ms, e) < 0)
		return -1;
	if (g->is_late && g->delivered < PART_MIN)
		g->is_whole = false;
	if (pending == 0 || !g->is_whole)
		return 0;
	/* What the stream has dropped since does not come, and leaves no hole in what does. */
	if (stream_state(ask->conn->js, &then, e) < 0)
		return -1;
	g->is_whole = strcmp(then.id, g->now->id) == 0 && ask->since->seq + 1 >= then.first_seq;
	return 0;
}

/* Until when, on the monotonic clock: whoever asks is still there for the answer. */
static int time_for(const struct replay_ask *ask, long long *ret_until_ms, struct err *e)
{
	long long ms = REPLAY_MS;

	if (ask->deadline_ms && ask->deadline_ms - REPLY_MS - clock_now_ms() < ms)
		ms = ask->deadline_ms - REPLY_MS - clock_now_ms();
	if (ms < LEAST_MS)
		return err_busy(e, ERR_UNAVAILABLE, 1, "too much to do for a replay");
	*ret_until_ms = clock_mono_ms() + ms;
	return 0;
}

static int read_some(const struct replay_ask *ask, struct gather *g, struct err *e)
{
	jsConsumerInfo *info = NULL;
	long long until_ms = 0;
	int r;

	if (time_for(ask, &until_ms, e) < 0 ||
	    reader_open(ask->conn->js, ask->topic, ask->since->seq, &info, e) < 0)
		return -1;
	r = reader_read(ask, g, info, until_ms, e);
	(void)js_DeleteConsumer(ask->conn->js, STREAM_NAME, info->Name, NULL, NULL);
	jsConsumerInfo_Destroy(info);
	return r;
}

int replay(const struct replay_ask *ask, struct arena *a, struct replayed *ret, struct err *e)
{
	const struct stream_state *now = ask->now;
	const struct position *since = ask->since;
	struct gather g = { .topic = ask->topic, .now = now, .arena = a, .is_whole = true };

	*ret = (struct replayed){ .upto = { .seq = now->last_seq } };
	memcpy(ret->upto.id, now->id, sizeof(ret->upto.id));
	if (strcmp(since->id, now->id) != 0 || since->seq > now->last_seq ||
	    since->seq + 1 < now->first_seq)
		return 0;
	g.text = arena_alloc(a, REPLAY_BYTES_MAX);
	if (!g.text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	gather_text(&g, "[");
	if (since->seq < now->last_seq && read_some(ask, &g, e) < 0)
		return -1;
	gather_text(&g, "]");
	if (!g.is_whole)
		return 0;
	ret->events = g.text;
	ret->is_part = g.is_late;
	if (g.is_late)
		ret->upto.seq = g.seq;
	return 0;
}
