#ifndef GATEWAY_WS_READER_H
#define GATEWAY_WS_READER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a client sends, from bytes to messages: RFC 6455 as wslay has it, strict. The state takes
 * some 9 KB, so a socket has one only while a frame or message of its is under way; in between its
 * slot is NULL. One thread.
 */

struct ws_reader;

struct ws_reader_calls {
	bool (*on_frame)(void *closure); /* one begins; false: it may send no more (1008) */
	void (*on_text)(void *closure, const char *text, size_t len); /* a whole message */
	void (*on_ping)(void *closure, const void *data, size_t len);
};

/*
 * Takes all of data. 0, or the code that the connection is to be closed with: the client's own (1005
 * where it gave none), or what it did wrong. After that the slot is only to be freed. *spare is kept
 * for whoever comes next.
 */
int ws_reader_feed(struct ws_reader **slot, struct ws_reader **spare,
                   const struct ws_reader_calls *calls, void *closure, const char *data,
                   size_t len);
void ws_reader_free(struct ws_reader *r); /* NULL is fine */

/* What to say with a code of ours; "" for any other. At most 123 bytes. */
const char *ws_reader_reason(int code);

#endif
