/* A reply as a service that has gone wrong may send it: data that fits, or an error; never both. */

#include "bus/envelope.h"
#include "wire/subject.h"

#include <sodium.h>
#include <stdint.h>

#define ARENA_LIMIT ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct wire_msg *m, const struct seal *seal, const uint8_t *data,
                  size_t size)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	OWN(json_text) char *text = NULL;
	void *out = arena_alloc(&a, m->size);
	struct err e = ERR_INIT, again = ERR_INIT;

	if (envelope_open((const char *)data, size, m, seal, &a, out, &e) == 0) {
		if (e.code != ERR_NONE)
			abort();
		return;
	}
	if (e.code <= ERR_NONE || e.code >= ERR_CODE_COUNT)
		abort();
	/* An error can be told on, and is read as the same. */
	text = envelope_error(&e);
	if (!text || envelope_open(text, strlen(text), m, seal, &a, out, &again) == 0 ||
	    again.code != e.code || strcmp(again.field, e.field) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seal seal;
	static bool is_made;
	struct err e = ERR_INIT;

	if (!is_made &&
	    (sodium_init() < 0 || seal_init(&seal, "0123456789abcdef0123456789abcdef", &e) < 0))
		abort();
	is_made = true;
	check(&wire_user_view, &seal, data, size);
	check(&wire_auth_tokens, &seal, data, size);
	check(&wire_instance_list, NULL, data, size);
	check(&wire_rt_subscribed, NULL, data, size);
	return 0;
}
