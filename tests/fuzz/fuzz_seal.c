/* A sealed value as anybody may send it: opens only if this key closed it for this place. */

#include "wire/seal.h"

#include <sodium.h>
#include <stdint.h>

#define ARENA_LIMIT ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct seal *key(void)
{
	static struct seal seal;
	static bool is_made;
	struct err e = ERR_INIT;

	if (!is_made &&
	    (sodium_init() < 0 || seal_init(&seal, "0123456789abcdef0123456789abcdef", &e) < 0))
		abort();
	is_made = true;
	return &seal;
}

/* As it comes: nobody guesses one. */
static void open_text(const char *text)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	struct err e = ERR_INIT;
	char *out = NULL;

	if (seal_open(key(), "message.field", text, &a, &out, &e) == 0)
		abort();
	if (e.code != ERR_INVALID && e.code != ERR_TOO_LARGE)
		abort();
}

/* Closed by us, then turned at one place by the input's first bytes. */
static void turn(const uint8_t *data, size_t size, const char *text)
{
	OWN(arena) struct arena a = { .limit = ARENA_LIMIT };
	struct err e = ERR_INIT;
	char *sealed = NULL, *out = NULL;
	size_t at;

	if (seal_close(key(), "message.field", text, &a, &sealed, &e) < 0)
		return;
	if (seal_open(key(), "message.field", sealed, &a, &out, &e) < 0 || strcmp(out, text) != 0)
		abort();
	if (size < 3 || !data[2])
		return;
	at = ((size_t)data[0] << 8 | data[1]) % strlen(sealed);
	sealed[at] = (char)(sealed[at] ^ data[2]);
	if (sealed[at] && seal_open(key(), "message.field", sealed, &a, &out, &e) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 16);

	if (!text)
		return 0;
	memcpy(text, data, size);
	open_text(text);
	turn(data, size, text);

	memcpy(text, "sealed:1:", 9);
	memcpy(text + 9, data, size);
	open_text(text);
	return 0;
}
