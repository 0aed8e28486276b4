#include "frame.h"

#include "base/json.h"
#include "base/own.h"

static int depth_of(const cJSON *v)
{
	const cJSON *child;
	int deepest = 0;

	cJSON_ArrayForEach(child, v) {
		int depth = depth_of(child);

		deepest = depth > deepest ? depth : deepest;
	}
	return cJSON_IsObject(v) || cJSON_IsArray(v) ? deepest + 1 : 0;
}

int frame_make(const struct frame_in *in, char **ret, struct err *e)
{
	OWN(json) cJSON *frame = cJSON_CreateObject();
	cJSON *data = NULL;

	if (json_parse(in->body, in->body_len, &data, e) < 0)
		return -1;
	if (!cJSON_IsObject(data) || depth_of(data) > FRAME_DEPTH_MAX) {
		cJSON_Delete(data);
		return err_field(e, "", "is not an object, or a very deep one");
	}
	cJSON_AddStringToObject(frame, "event", in->event);
	cJSON_AddStringToObject(frame, "topic", in->topic);
	cJSON_AddStringToObject(frame, "position", in->position);
	cJSON_AddStringToObject(frame, "ts", in->ts);
	if (in->trace_id[0])
		cJSON_AddStringToObject(frame, "trace_id", in->trace_id);
	else
		cJSON_AddNullToObject(frame, "trace_id");
	cJSON_AddItemToObject(frame, "data", data);

	*ret = cJSON_PrintUnformatted(frame);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
