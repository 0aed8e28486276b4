#include "ws_text.h"

#include "base/clock.h"

#include <assert.h>

#define FIN        0x80
#define OP_TEXT    0x1
#define HEAD_MAX   10    /* bytes in front of a payload */
#define SHORT_MAX  125   /* bytes; such a length is in the second byte */
#define MEDIUM_MAX 65535 /* in two more, and past it in eight */

static struct ws_text *make(const void *head, size_t head_len, const void *data, size_t len)
{
	struct ws_text *t = malloc(sizeof(*t) + head_len + len);

	if (!t)
		return NULL;
	t->holders = 1;
	t->len = head_len + len;
	memcpy(t->bytes, head, head_len);
	memcpy(t->bytes + head_len, data, len);
	return t;
}

/* RFC 6455, 5.2. */
static struct ws_text *frame(unsigned opcode, const void *data, size_t len)
{
	unsigned char head[HEAD_MAX] = { (unsigned char)(FIN | opcode) };
	size_t more = len <= SHORT_MAX ? 0 : len <= MEDIUM_MAX ? 2 : 8;

	head[1] = more == 0 ? (unsigned char)len : more == 2 ? 126 : 127;
	for (size_t i = 0; i < more; i++)
		head[1 + more - i] = (unsigned char)((unsigned long long)len >> 8 * i);
	return make(head, 2 + more, data, len);
}

struct ws_text *ws_text_new(const char *data, size_t len)
{
	return frame(OP_TEXT, data, len);
}

struct ws_text *ws_text_control(enum ws_control what, const void *data, size_t len)
{
	assert(len <= SHORT_MAX);
	return frame(what, data, len);
}

struct ws_text *ws_text_raw(const char *data, size_t len)
{
	return make("", 0, data, len);
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
