#include "link/chat_news.h"

#include "link/holder.h"
#include "link/link_store.h"
#include "link/session_row.h"
#include "link/sync.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#define DELTA_MAX  16384
#define TEXT_MAX   65536
#define REASON_MAX 512

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

/* Whole characters only. */
static size_t copy_part(const char *text, char *out, size_t at, size_t size)
{
	size_t len = strlen(text);

	if (at + len >= size) {
		len = size - at - 1;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out + at, text, len);
	out[at + len] = '\0';
	return at + len;
}

void chat_text(const cJSON *message, char *out, size_t size)
{
	const cJSON *content = member(message, "content"), *part;
	size_t at = 0;

	out[0] = '\0';
	if (cJSON_IsString(content)) {
		(void)copy_part(content->valuestring, out, 0, size);
		return;
	}
	cJSON_ArrayForEach(part, content) {
		const char *type = json_text(part, "type"), *text = json_text(part, "text");

		if (type && text && strcmp(type, "text") == 0)
			at = copy_part(text, out, at, size);
	}
}

/* Straight to the stream; a bus that is away costs this piece. */
static void tell_delta(const struct news_of *of, const struct chat_delta_evt *ev)
{
	OWN(json_text) char *text = NULL;
	char trace[INSTANCE_TRACE_SIZE], msg_id[128];
	struct bus_event event = { .subject = SUBJ_EVT_CHAT_DELTA,
		                   .key = of->id,
		                   .msg_id = msg_id,
		                   .trace_id = trace,
		                   .time_ms = clock_now_ms() };
	struct err e = ERR_INIT;

	sync_trace(trace);
	snprintf(msg_id, sizeof(msg_id), "chat.%.40s.%lld.%.32s", ev->run_id, ev->seq, of->id);
	if (bus_event_text(SUBJ_EVT_CHAT_DELTA, ev, &text, &e) == 0) {
		event.json = text;
		if (bus_event_publish(of->app->bus, &event, &e) == 0)
			return;
	}
	log_debug("a piece of a reply is not told", "instance_id", of->id, "error", e.msg);
}

static int tell_done(const struct news_of *of, const struct chat_done_evt *ev, struct err *e)
{
	char trace[INSTANCE_TRACE_SIZE];
	OWN(pg_conn) struct pg_conn *db = NULL;

	sync_trace(trace);
	if (pg_take(of->app->db, &db, e) < 0 ||
	    outbox_tell(db, SUBJ_EVT_CHAT_DONE, of->id, trace, ev, e) < 0)
		return -1;
	outbox_wake(of->app->outbox);
	return 0;
}

static int on_end(const struct news_of *of, const cJSON *p, const char *run, const char *key,
                  const char *state, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	char *text;
	const char *error = json_text(p, "errorMessage");
	char reason[REASON_MAX];
	struct chat_done_evt ev = { .instance_id = of->id, .session_key = key, .run_id = run };

	arena_init(&a, 2 * TEXT_MAX);
	text = arena_alloc(&a, TEXT_MAX + 1);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	chat_text(member(p, "message"), text, TEXT_MAX + 1);
	session_text_copy(error, 120, reason, sizeof(reason));
	ev.outcome = strcmp(state, "final") == 0     ? "done"
	             : strcmp(state, "aborted") == 0 ? "stopped"
	                                             : "failed";
	ev.text = text[0] ? text : NULL;
	ev.reason = reason[0] ? reason : NULL;
	return tell_done(of, &ev, e);
}

int chat_news(const struct news_of *of, struct news *n, struct err *e)
{
	const cJSON *p = n->payload, *seq = member(p, "seq");
	const char *run = json_text(p, "runId"), *key = json_text(p, "sessionKey");
	const char *state = json_text(p, "state"), *delta = json_text(p, "deltaText");
	struct arena a __attribute__((cleanup(own_arena)));
	char *text;

	arena_init(&a, 2 * DELTA_MAX);
	if (!session_key_fits(run) || strlen(run) > 128 || !session_key_fits(key) || !state)
		return 0;
	if (strcmp(state, "final") == 0 || strcmp(state, "aborted") == 0 ||
	    strcmp(state, "error") == 0)
		return on_end(of, p, run, key, state, e);
	if (strcmp(state, "delta") != 0 || !delta || !delta[0])
		return 0;
	text = arena_alloc(&a, DELTA_MAX + 1);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	(void)copy_part(delta, text, 0, DELTA_MAX + 1);
	tell_delta(of,
	           &(struct chat_delta_evt){ .instance_id = of->id,
	                                     .session_key = key,
	                                     .run_id = run,
	                                     .seq = cJSON_IsNumber(seq) && seq->valuedouble >= 0 &&
	                                                            seq->valuedouble < 1e9
	                                                    ? (long long)seq->valuedouble
	                                                    : 0,
	                                     .text = text });
	return 0;
}
