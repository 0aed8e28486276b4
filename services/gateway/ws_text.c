#include "ws_text.h"

#include "base/clock.h"

#include "lws.h"

struct ws_text *ws_text_new(const char *data, size_t len)
{
	struct ws_text *t = malloc(sizeof(*t) + LWS_PRE + len);

	if (!t)
		return NULL;
	t->holders = 1;
	t->len = len;
	memcpy(ws_text_data(t), data, len);
	return t;
}

struct ws_text *ws_text_hold(struct ws_text *t)
{
	t->holders++;
	return t;
}

void ws_text_drop(struct ws_text *t)
{
	if (--t->holders == 0)
		free(t);
}

unsigned char *ws_text_data(struct ws_text *t)
{
	return t->room + LWS_PRE;
}

static void add_text(cJSON *to, const char *name, const char *text)
{
	if (text && text[0])
		cJSON_AddStringToObject(to, name, text);
}

static void add_data(cJSON *frame, const struct ws_frame_out *f)
{
	cJSON *data;

	if (f->data) {
		cJSON_AddRawToObject(frame, "data", f->data);
		return;
	}
	data = cJSON_AddObjectToObject(frame, "data");
	add_text(data, "since", f->since);
	if (!f->err)
		return;
	cJSON_AddStringToObject(data, "code", err_name(f->err->code));
	cJSON_AddStringToObject(data, "message", err_public(f->err));
	add_text(data, "field", f->err->field);
}

struct ws_text *ws_text_frame(const struct ws_frame_out *f)
{
	OWN(json) cJSON *frame = cJSON_CreateObject();
	OWN(json_text) char *text = NULL;
	char ts[CLOCK_TEXT_SIZE];

	cJSON_AddStringToObject(frame, "event", f->event);
	add_text(frame, "topic", f->topic);
	add_text(frame, "position", f->position);
	cJSON_AddStringToObject(frame, "ts", clock_text(clock_now_ms(), ts));
	add_text(frame, "trace_id", f->trace_id);
	add_data(frame, f);
	text = cJSON_PrintUnformatted(frame);
	return text ? ws_text_new(text, strlen(text)) : NULL;
}
