/* What a WebSocket client sends: the request that opens the socket, and its frames. */

#include "ws_frame.h"
#include "ws_request.h"

#include "base/own.h"
#include "base/uuid.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frame(const char *text, size_t size)
{
	struct ws_frame f;
	struct ws_position p;
	struct err e = ERR_INIT;

	if (ws_frame_parse(text, size, &f, &e) < 0) {
		assert(e.code == ERR_INVALID);
		return;
	}
	if (f.topic[0])
		assert(uuid_is_valid(strchr(f.topic, '.') + 1));
	if (f.since[0])
		assert(ws_position_parse(f.since, &p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = malloc(size + 1);
	struct ws_request r;
	struct err e = ERR_INIT;
	size_t end;

	memcpy(text, data, size);
	text[size] = '\0';
	frame(text, size);
	end = ws_request_end(text, size);
	assert(end <= size);
	if (end > 0 && ws_request_parse(text, end, &r, &e) == 0)
		assert(strcmp(r.path, WS_PATH) == 0 && strlen(r.key) == 24 && r.host);
	return 0;
}
