/*
 * Any bytes as any message: json_parse() and wire_decode() of each. What one takes is written, and
 * read back the same. Seeds: proto/examples/<message>/.
 */

#include "base/json.h"
#include "wire/subject.h"

#include <stdint.h>

#define ARENA_LIMIT ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *encode(const struct wire_msg *m, const void *in)
{
	OWN(json) cJSON *doc = NULL;
	struct err e = ERR_INIT;

	/* What was taken can be written. */
	if (wire_encode(m, in, NULL, &doc, &e) < 0)
		abort();
	return cJSON_PrintUnformatted(doc);
}

static void check(const struct wire_msg *m, const cJSON *doc)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	OWN(json_text) char *first = NULL, *second = NULL;
	OWN(json) cJSON *again = NULL;
	void *out = arena_alloc(&a, m->size), *out_again = arena_alloc(&a, m->size);
	struct err e = ERR_INIT;

	if (wire_decode(m, doc, NULL, &a, out, &e) < 0) {
		if (e.code != ERR_INVALID && e.code != ERR_TOO_LARGE)
			abort();
		return;
	}
	first = encode(m, out);
	if (!first || json_parse(first, strlen(first), &again, &e) < 0)
		abort();
	if (wire_decode(m, again, NULL, &a, out_again, &e) < 0) {
		if (e.code != ERR_TOO_LARGE)
			abort();
		return;
	}
	second = encode(m, out_again);
	if (!second || strcmp(first, second) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(json) cJSON *doc = NULL;
	struct err e = ERR_INIT;

	if (json_parse((const char *)data, size, &doc, &e) < 0)
		return 0;
	for (size_t i = 0; i < wire_message_count; i++)
		check(wire_messages[i], doc);
	return 0;
}
