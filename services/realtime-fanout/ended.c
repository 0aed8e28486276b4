#include "ended.h"

#include "base/json.h"
#include "deliver.h"
#include "wire/wire.h"

#define EVENT "instance.deleted"

static int no_topic(struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "no such topic");
}

/* One that names nobody was nobody's. */
static bool is_theirs(natsMsg *msg, const char *user_id, struct arena *a)
{
	OWN(json) cJSON *doc = NULL;
	struct instance_deleted_evt ev;
	struct err why = ERR_INIT;

	return json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), &doc, &why) ==
	               0 &&
	       wire_decode(&wire_instance_deleted_evt, doc, NULL, a, &ev, &why) == 0 &&
	       strcmp(ev.user_id, user_id) == 0;
}

static int frame_of(natsMsg *msg, const struct stream_state *now, const struct topic *topic,
                    struct arena *a, const char **ret, struct err *e)
{
	struct stored ev = { .msg = msg,
		             .position = { .seq = natsMsg_GetSequence(msg) },
		             .stored_ms = natsMsg_GetTime(msg) / 1000000 };
	OWN(json_text) char *text = NULL;

	memcpy(ev.position.id, now->id, sizeof(ev.position.id));
	if (stored_frame(&ev, topic, EVENT, &text, e) < 0)
		return -1;
	*ret = arena_strdup(a, text);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int ended_read(const struct stream_conn *conn, const struct topic *topic, const char *user_id,
               struct arena *a, const char **ret, struct err *e)
{
	char subject[TOPIC_SUBJECT_SIZE];
	OWN(nats_msg) natsMsg *msg = NULL;
	struct stream_state now;
	jsErrCode code = 0;
	natsStatus s;

	topic_over_subject(topic, subject);
	s = js_GetLastMsg(&msg, conn->js, STREAM_NAME, subject, NULL, &code);
	if (s == NATS_NOT_FOUND)
		return no_topic(e);
	if (stream_check(s, code, "looking for the end of a topic", e) < 0 ||
	    stream_state(conn->js, &now, e) < 0)
		return -1;
	return is_theirs(msg, user_id, a) ? frame_of(msg, &now, topic, a, ret, e) : no_topic(e);
}
