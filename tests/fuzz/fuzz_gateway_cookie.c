/*
 * Any bytes as a Cookie header. What is found stands in it whole, right after its own name, and only
 * once: two of one name find none.
 */

#include "cookie.h"

#include "base/own.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How often the name begins a pair, as another reader would see it. */
static int count(const char *header, const char *name)
{
	size_t len = strlen(name);
	int n = 0;

	for (const char *s = header; s; s = strchr(s, ';')) {
		s += strspn(s, "; \t");
		n += strncmp(s, name, len) == 0 && s[len] == '=';
	}
	return n;
}

static void check(const char *header, const char *name)
{
	OWN(arena) struct arena a = { .limit = 1 << 20 };
	const char *value = cookie_find(header, name, &a);
	char pair[64];

	if (!value)
		return;
	snprintf(pair, sizeof(pair), "%s=%.16s", name, value);
	if (!value[0] || strchr(value, ';') || !strstr(header, pair) || count(header, name) != 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 1);

	memcpy(text, data, size);
	check(text, COOKIE_ACCESS);
	check(text, COOKIE_REFRESH);
	return 0;
}
