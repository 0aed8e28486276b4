#include "logs/lines.h"

#include "logs/mask.h"

#include "base/utf8.h"

#include <string.h>
#include <time.h>

#define NANOS 1000000000LL

/* "2026-11-28T03:28:00.123456789Z " → unix ns; 0 where it is none. *ret_len: its bytes. */
static long long time_of(const char *line, size_t *ret_len)
{
	struct tm tm = { 0 };
	const char *at = strptime(line, "%Y-%m-%dT%H:%M:%S", &tm);
	long long ns = 0, unit = NANOS / 10;

	*ret_len = 0;
	if (!at)
		return 0;
	if (*at == '.')
		for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10)
			ns += unit * (*at - '0');
	if (at[0] != 'Z' || at[1] != ' ')
		return 0;
	*ret_len = (size_t)(at + 2 - line);
	return timegm(&tm) * NANOS + ns;
}

static int add(const char *line, size_t len, long long ns, struct arena *a, struct log_lines *ret,
               struct err *e)
{
	size_t kept = len < LOGS_LINE_MAX ? len : LOGS_LINE_MAX;
	char *raw = arena_strndup(a, line, kept);
	char *text = arena_alloc(a, kept + 1);

	if (!raw || !text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	/* In this order: what is taken out may be half a character. */
	mask_controls(raw);
	utf8_copy(text, kept + 1, raw);
	ret->list[ret->count++] = (struct log_line){ ns / 1000000, text };
	if (ns)
		snprintf(ret->place, sizeof(ret->place), "%lld.%09lld", (ns + 1) / NANOS,
		         (ns + 1) % NANOS);
	return 0;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	while (*text) {
		text += strcspn(text, "\n");
		text += *text == '\n';
		n++;
	}
	return n;
}

int logs_lines(const char *text, size_t max, struct arena *a, struct log_lines *ret, struct err *e)
{
	size_t all = count_lines(text), skip = all > max ? all - max : 0;

	*ret = (struct log_lines){ .list = arena_alloc(a, (all - skip + 1) * sizeof(*ret->list)) };
	if (!ret->list)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; *text; i++) {
		size_t len = strcspn(text, "\n"), head = 0;
		long long ns = time_of(text, &head);

		if (i >= skip && add(text + head, len > head ? len - head : 0, ns, a, ret, e) < 0)
			return -1;
		text += len + (text[len] == '\n');
	}
	return 0;
}

int logs_place_check(const char *place, struct err *e)
{
	size_t seconds = strspn(place, "0123456789");

	if (seconds < 1 || seconds > 11 || place[seconds] != '.' ||
	    strspn(place + seconds + 1, "0123456789") != 9 || place[seconds + 10])
		return err_field(e, "after", "is not a place in this log");
	return 0;
}
