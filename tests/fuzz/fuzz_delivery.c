/* What a gateway is sent for its sockets: what is read is what would be written. */

#include "bus/delivery.h"

#include "base/own.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;

	while (at < end) {
		const char *from = at;
		struct err e = ERR_INIT;
		struct delivery d;
		OWN(mem) char *again = NULL;

		if (delivery_read(&at, end, &d, &e) < 0) {
			if (e.code != ERR_INVALID || at != from)
				abort();
			break;
		}
		again = malloc(delivery_size(&d));
		if (!again)
			break;
		if (delivery_write(&d, again) != (size_t)(at - from) ||
		    memcmp(again, from, (size_t)(at - from)) != 0)
			abort();
	}
	return 0;
}
