#ifndef TEST_WS_CLIENT_LAB_H
#define TEST_WS_CLIENT_LAB_H

#include "test.h"

#include "ws_client.h"

#include <sys/socket.h>

/* A client's side of the gateway on one end of a real socket, without epoll; lab.peer is the other. */
#define LONG_AGO 0 /* ms */

static struct {
	struct ws_io io;
	int peer;
	char got[16384]; /* the last message, text */
	size_t got_len;
	int messages;
} lab;

static inline void on_text(struct ws_io *io, struct ws_client *c, const char *message, size_t len)
{
	(void)io;
	(void)c;
	assert_in_range(len, 0, sizeof(lab.got) - 1);
	memcpy(lab.got, message, len);
	lab.got[len] = '\0';
	lab.got_len = len;
	lab.messages++;
}

static inline void client_done(struct ws_client *c)
{
	struct ws_client *dirty;

	while ((dirty = lab.io.dirty)) {
		lab.io.dirty = dirty->next_dirty;
		ws_client_drop(dirty);
	}
	ws_client_cut(c);
	ws_client_drop(c);
	ws_reader_free(lab.io.spare);
	close(lab.peer);
}

OWN_DEFINE(client, struct ws_client *, client_done)

static inline struct ws_client *make(void)
{
	static const struct ws_person nobody;
	struct ws_client *c;
	int fds[2], bytes = 4096;

	memset(&lab, 0, sizeof(lab));
	lab.io = (struct ws_io){
		.epoll_fd = -1, .ping_ms = 25000, .dead_ms = 40000, .on_text = on_text
	};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	lab.peer = fds[1];
	c = ws_client_new(&lab.io, fds[0], &nobody, LONG_AGO);
	assert_non_null(c);
	return c;
}

/* The next byte that was written; -1: there is none. */
static inline int peer_byte(void)
{
	unsigned char byte;

	return recv(lab.peer, &byte, 1, MSG_DONTWAIT) == 1 ? byte : -1;
}

/* A whole frame out of the peer's end: its opcode and payload; -1: none. */
static inline int peer_frame(char *payload, size_t size)
{
	int opcode = peer_byte(), len = opcode < 0 ? 0 : peer_byte();
	size_t n;

	if (opcode < 0)
		return -1;
	assert_true(opcode & 0x80);
	n = len == 126 ? (size_t)peer_byte() << 8 : (size_t)len;
	n += len == 126 ? (size_t)peer_byte() : 0;
	assert_true(len < 127 && n < size);
	for (size_t i = 0; i < n; i++)
		payload[i] = (char)peer_byte();
	payload[n] = '\0';
	return opcode & 0x0f;
}

/* One frame of a client, masked with zeros. */
static inline void receive(struct ws_client *c, unsigned first, const char *payload, size_t len,
                           long long now_ms)
{
	char bytes[8192] = { (char)first };
	size_t more = len < 126 ? 0 : 2;

	bytes[1] = (char)(0x80 | (more ? 126 : len));
	if (more) {
		bytes[2] = (char)(len >> 8);
		bytes[3] = (char)len;
	}
	memcpy(bytes + 6 + more, payload, len);
	ws_client_receive(c, bytes, 6 + more + len, now_ms);
}

#endif
