/* What others put on the bus, as realtime-fanout reads it: subject, body, topic and position. */

#include "base/json.h"
#include "base/own.h"
#include "frame.h"
#include "position.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void texts(const char *text)
{
	char again[TOPIC_TEXT_SIZE], event[TOPIC_EVENT_SIZE], position[POSITION_TEXT_SIZE];
	struct position p;
	struct topic t, other;
	struct err e = ERR_INIT;

	if (topic_parse(text, &t, &e) == 0) {
		topic_text(&t, again);
		if (strcmp(again, text) != 0)
			abort();
	}
	if (position_parse(text, &p, &e) == 0) {
		position_text(&p, position);
		if (strcmp(position, text) != 0)
			abort();
	}
	/* What is shown belongs to a topic that one can subscribe to. */
	if (topic_of_subject(text, &t, event)) {
		topic_text(&t, again);
		if (topic_parse(again, &other, &e) < 0 || !topic_equals(&t, &other))
			abort();
	}
}

/* A body cannot make a frame say anything of its own outside "data". */
static void frame(const uint8_t *data, size_t size)
{
	struct frame_in in = { .event = "instance.status",
		               .topic = "t",
		               .position = "p:1",
		               .ts = "ts",
		               .trace_id = "",
		               .body = (const char *)data,
		               .body_len = size };
	OWN(json_text) char *text = NULL;
	OWN(json) cJSON *doc = NULL;
	struct err e = ERR_INIT;

	if (frame_make(&in, &text, &e) < 0)
		return;
	if (strpbrk(text, "\r\n") || json_parse(text, strlen(text), &doc, &e) < 0)
		abort();
	if (cJSON_GetArraySize(doc) != 6 || strcmp(json_text(doc, "event"), in.event) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	texts(text);
	frame(data, size);
	return 0;
}
