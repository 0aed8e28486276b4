#include "ws_wire.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static uint32_t rol(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const unsigned char *p)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
		       (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 80; i++)
		w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (int i = 0; i < 80; i++) {
		uint32_t f = i < 20   ? (b & c) | (~b & d)
		             : i < 40 ? b ^ c ^ d
		             : i < 60 ? (b & c) | (b & d) | (c & d)
		                      : b ^ c ^ d;
		uint32_t k = i < 20   ? 0x5a827999
		             : i < 40 ? 0x6ed9eba1
		             : i < 60 ? 0x8f1bbcdc
		                      : 0xca62c1d6;
		uint32_t t = rol(a, 5) + f + e + k + w[i];

		e = d;
		d = c;
		c = rol(b, 30);
		b = a;
		a = t;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

/* Of a text shorter than 120 bytes: two blocks. */
static void sha1(const char *text, unsigned char out[20])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	unsigned char block[128] = { 0 };
	size_t len = strlen(text), size = len < 56 ? 64 : 128;

	memcpy(block, text, len);
	block[len] = 0x80;
	block[size - 2] = (unsigned char)(len * 8 >> 8);
	block[size - 1] = (unsigned char)(len * 8);
	for (size_t i = 0; i < size; i += 64)
		sha1_block(h, block + i);
	for (int i = 0; i < 20; i++)
		out[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
}

static void base64_20(const unsigned char in[20], char out[29])
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char full[21] = { 0 };
	size_t at = 0;

	memcpy(full, in, 20);
	for (int i = 0; i < 21; i += 3) {
		uint32_t v = (uint32_t)full[i] << 16 | (uint32_t)full[i + 1] << 8 | full[i + 2];

		for (int k = 18; k >= 0; k -= 6)
			out[at++] = letters[v >> k & 63];
	}
	out[27] = '=';
	out[28] = '\0';
}

static bool send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

bool ws_accept(int fd, const char *head)
{
	char key[64], text[128], answer[256], accept[29];
	unsigned char digest[20];
	int len;

	if (!http_header(head, "Sec-WebSocket-Key", key, sizeof(key)) || strlen(key) > 40)
		return false;
	snprintf(text, sizeof(text), "%s" GUID, key);
	sha1(text, digest);
	base64_20(digest, accept);
	len = snprintf(answer, sizeof(answer),
	               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	               "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	               accept);
	return send_all(fd, answer, (size_t)len);
}

bool ws_send(int fd, int opcode, const char *data, size_t len)
{
	char head[10] = { (char)(0x80 | opcode) };
	size_t head_len = 2;

	if (len < 126) {
		head[1] = (char)len;
	} else if (len < 65536) {
		head[1] = 126;
		head[2] = (char)(len >> 8);
		head[3] = (char)len;
		head_len = 4;
	} else {
		head[1] = 127;
		for (int i = 0; i < 8; i++)
			head[2 + i] = (char)((unsigned long long)len >> (56 - 8 * i));
		head_len = 10;
	}
	return send_all(fd, head, head_len) && send_all(fd, data, len);
}

static bool take(int fd, void *buf, size_t len)
{
	return len == 0 || recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

int ws_receive(int fd, char *buf, size_t size, size_t *ret_len)
{
	unsigned char head[2], more[8], mask[4];
	uint64_t len;

	if (!take(fd, head, 2) || !(head[0] & 0x80) || !(head[1] & 0x80))
		return -1;
	len = head[1] & 127;
	if (len >= 126) {
		int bytes = len == 126 ? 2 : 8;

		if (!take(fd, more, (size_t)bytes))
			return -1;
		len = 0;
		for (int i = 0; i < bytes; i++)
			len = len << 8 | more[i];
	}
	if (len >= size || !take(fd, mask, 4) || !take(fd, buf, (size_t)len))
		return -1;
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(buf[i] ^ mask[i % 4]);
	buf[len] = '\0';
	*ret_len = (size_t)len;
	return head[0] & 15;
}
