#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Numbers as the format writes them: fixed ones little-endian, others LEB128, at most ten bytes. */

static inline void bytes_put32(unsigned char *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(v >> (8 * i));
}

static inline uint32_t bytes_get32(const unsigned char *from)
{
	return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
	       (uint32_t)from[3] << 24;
}

/* Writing into memory that is known to have room. */
struct bytes_to {
	unsigned char *at;
};

static inline void bytes_byte(struct bytes_to *w, unsigned char b)
{
	*w->at++ = b;
}

static inline void bytes_raw(struct bytes_to *w, const void *data, size_t len)
{
	memcpy(w->at, data, len);
	w->at += len;
}

static inline void bytes_number(struct bytes_to *w, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		bytes_byte(w, (unsigned char)(v | 0x80));
	bytes_byte(w, (unsigned char)v);
}

/* Zigzag: small negative numbers stay short. */
static inline void bytes_signed(struct bytes_to *w, int64_t v)
{
	bytes_number(w, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

static inline void bytes_text(struct bytes_to *w, const char *s)
{
	size_t len = strlen(s);

	bytes_number(w, len);
	bytes_raw(w, s, len);
}

/* Reading what anybody may have written. Past the first thing that is wrong everything is 0. */
struct bytes_from {
	const unsigned char *at, *end;
	bool is_bad;
};

static inline const unsigned char *bytes_take(struct bytes_from *r, size_t len)
{
	const unsigned char *at = r->at;

	if (r->is_bad || (size_t)(r->end - r->at) < len) {
		r->is_bad = true;
		return NULL;
	}
	r->at += len;
	return at;
}

static inline uint64_t bytes_get(struct bytes_from *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const unsigned char *b = bytes_take(r, 1);

		if (!b || (shift == 63 && *b > 1) || (shift && *b == 0))
			break; /* no more, too much, or not the shortest form */
		v |= (uint64_t)(*b & 0x7f) << shift;
		if (!(*b & 0x80))
			return v;
	}
	r->is_bad = true;
	return 0;
}

/* A number that is at most max. */
static inline uint64_t bytes_get_max(struct bytes_from *r, uint64_t max)
{
	uint64_t v = bytes_get(r);

	if (v > max)
		r->is_bad = true;
	return r->is_bad ? 0 : v;
}

static inline int64_t bytes_get_signed(struct bytes_from *r)
{
	uint64_t v = bytes_get(r);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
