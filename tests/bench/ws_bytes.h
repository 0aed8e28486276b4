#ifndef BENCH_WS_BYTES_H
#define BENCH_WS_BYTES_H

#include <stddef.h>

/* The length of the frame that begins at data, with its header; 0: not known yet. */
static inline size_t frame_len(const unsigned char *data, size_t len, size_t *ret_head)
{
	size_t n;

	if (len < 2)
		return 0;
	n = data[1] & 0x7f;
	*ret_head = n < 126 ? 2 : n == 126 ? 4 : 10;
	if (len < *ret_head)
		return 0;
	if (n >= 126) {
		n = 0;
		for (size_t i = 2; i < *ret_head; i++)
			n = n << 8 | data[i];
	}
	return *ret_head + n;
}

#endif
