/* Heads of dumps as one who has the key might write them: what is accepted can be written again and is
 * the same. */

#include "dump/dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(dump_head) struct dump_head h = { 0 };
	OWN(mem) unsigned char *again = NULL;
	struct err e = ERR_INIT;
	size_t len = 0;

	if (dump_head_decode(data, size, &h, &e) < 0)
		return 0;
	if (dump_head_encode(&h, &again, &len, &e) < 0 || len != size ||
	    memcmp(again, data, size) != 0)
		abort();
	return 0;
}
