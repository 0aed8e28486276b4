/* What comes through a WebSocket, in pieces: the first byte says of which size. */

#include "ws_client.h"

#include "base/own.h"

#include <assert.h>
#include <fcntl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_text(struct ws_io *io, struct ws_client *c, const char *text, size_t len)
{
	struct ws_frame f;
	struct err e = ERR_INIT;

	(void)io;
	assert(len <= WS_FRAME_MAX && !c->close_code);
	(void)ws_frame_parse(text, len, &f, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ws_person nobody;
	static struct ws_io io = {
		.epoll_fd = -1, .ping_ms = 1000, .dead_ms = 2000, .on_text = on_text
	};
	struct ws_client *c, *dirty;
	size_t step;

	if (size < 2 ||
	    !(c = ws_client_new(&io, open("/dev/null", O_RDWR | O_CLOEXEC), &nobody, 0)))
		return 0;
	step = data[0] + (size_t)1;
	for (size_t at = 1; at < size; at += step)
		ws_client_receive(c, (const char *)data + at, size - at < step ? size - at : step,
		                  1);
	while ((dirty = io.dirty)) {
		io.dirty = dirty->next_dirty;
		dirty->is_dirty = false;
		ws_client_drop(dirty);
	}
	ws_client_cut(c);
	ws_client_drop(c);
	return 0;
}
