/* What Telegram answers to whoever asks for a bot's messages: texts of anybody. */

#include "owner/updates.h"

#include "base/own.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 1);
	struct updates_seen seen = { 0 };
	struct err e = ERR_INIT;

	memcpy(text, data, size);
	if (updates_read(text, size, "0123456789abcdef0123456789abcdef", 1000, &seen, &e) < 0)
		return 0;
	assert((seen.verdict == UPDATES_OWNER) == (seen.owner_id > 0));
	assert(seen.has_any || seen.verdict == UPDATES_NONE);
	return 0;
}
