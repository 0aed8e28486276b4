#include "format/chunker.h"

/* The hash's high bits have seen the last 64 bytes. Before the average a cut is four times rarer
 * than one in CHUNK_AVG, after it four times likelier: most chunks are near it. */
#define HIGH_BITS(n) (~(uint64_t)0 << (64 - (n)))
#define AVG_BITS     17
#define MASK_BEFORE  HIGH_BITS(AVG_BITS + 2)
#define MASK_AFTER   HIGH_BITS(AVG_BITS - 2)

_Static_assert(CHUNK_AVG == 1 << AVG_BITS, "the masks are the average's");

size_t chunker_cut(const struct keys *k, const unsigned char *data, size_t len)
{
	size_t end = len < CHUNK_MAX ? len : CHUNK_MAX;
	size_t middle = end < CHUNK_AVG ? end : CHUNK_AVG;
	uint64_t hash = 0;
	size_t i = CHUNK_MIN;

	if (len <= CHUNK_MIN)
		return len;
	for (; i < middle; i++) {
		hash = (hash << 1) + k->gear[data[i]];
		if (!(hash & MASK_BEFORE))
			return i + 1;
	}
	for (; i < end; i++) {
		hash = (hash << 1) + k->gear[data[i]];
		if (!(hash & MASK_AFTER))
			return i + 1;
	}
	return end;
}
