#include "path.h"

#include "percent.h"

#include <string.h>

static size_t segment_len(const char *s)
{
	return strcspn(s, "/");
}

static bool is_param(const char *segment)
{
	return segment[0] == '{';
}

static bool segment_is(const char *got, size_t got_len, const char *want, size_t want_len)
{
	char text[PATH_SEGMENT_MAX];

	if (!memchr(got, '%', got_len))
		return got_len == want_len && memcmp(got, want, want_len) == 0;
	return percent_decode(got, got_len, false, text, sizeof(text)) &&
	       strlen(text) == want_len && memcmp(text, want, want_len) == 0;
}

static size_t segment_count(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* How much of path, just behind a '/', the parameter at pattern takes; 0: it does not fit. A
 * {rest*} leaves as many segments as the pattern has after it, and takes no empty one. */
static size_t param_len(const char *pattern, size_t want, const char *path)
{
	size_t after = segment_count(pattern + want), all = segment_count(path) + 1, len;

	if (pattern[want - 2] != '*')
		return segment_len(path);
	if (all <= after)
		return 0;
	len = segment_len(path);
	for (size_t n = all - after; len > 0 && n > 1; n--) {
		size_t next = segment_len(path + len + 1);

		len = next > 0 ? len + 1 + next : 0;
	}
	return len;
}

bool path_fits(const char *pattern, const char *path)
{
	while (*pattern == '/' && *path == '/') {
		size_t want = segment_len(++pattern), got = segment_len(++path);

		if (is_param(pattern))
			got = param_len(pattern, want, path);
		if (is_param(pattern) ? got == 0 : !segment_is(path, got, pattern, want))
			return false;
		pattern += want;
		path += got;
	}
	return !*pattern && !*path;
}

static int read_param(const char *pattern, size_t want, const char *path, size_t got,
                      struct path_param *ret, struct err *e)
{
	bool is_rest = pattern[want - 2] == '*';

	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)want - (is_rest ? 3 : 2), pattern + 1);
	if (!percent_decode(path, got, false, ret->value,
	                    is_rest ? PATH_REST_MAX : PATH_SEGMENT_MAX))
		return err_field(e, ret->name, "is not well-formed in the path, or too long");
	return 0;
}

int path_params(const char *pattern, const char *path, path_on_param *on_param, void *ctx,
                struct err *e)
{
	struct path_param p;

	while (*pattern == '/') {
		size_t want = segment_len(++pattern), got = segment_len(++path);

		if (is_param(pattern)) {
			got = param_len(pattern, want, path);
			if (read_param(pattern, want, path, got, &p, e) < 0 ||
			    on_param(&p, ctx, e) < 0)
				return -1;
		}
		pattern += want;
		path += got;
	}
	return 0;
}
