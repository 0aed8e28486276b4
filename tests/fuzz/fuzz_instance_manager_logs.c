/* What a container wrote: anything. */

#include "logs/lines.h"
#include "logs/mask.h"

#include "base/own.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const secrets[] = { "secret-of-mine" };
	OWN(mem) char *text = calloc(1, size + 1);
	OWN(arena) struct arena a = { .limit = 16 << 20 };
	struct log_lines l;
	struct err e = ERR_INIT;

	memcpy(text, data, size);
	if (logs_lines(text, 100, &a, &l, &e) < 0)
		return 0;
	assert(l.count <= 100);
	assert(!l.place[0] || logs_place_check(l.place, &e) == 0);
	for (size_t i = 0; i < l.count; i++) {
		mask_text(l.list[i].text, secrets, COUNT(secrets));
		assert(!strstr(l.list[i].text, secrets[0]) &&
		       strlen(l.list[i].text) <= LOGS_LINE_MAX);
		for (const char *at = l.list[i].text; *at; at += utf8_len(at, strlen(at)))
			assert(utf8_len(at, strlen(at)) > 0);
	}
	return 0;
}
