#include "route.h"

#include "base/own.h"
#include "health.h"
#include "percent.h"

#define SEGMENT_MAX 256 /* bytes of one segment, decoded */

const struct route routes[] = {
#define ROUTE(method, path, subject, input, needs, success, limit, cookies)        \
	{ #method, path,          SUBJ_##subject,    INPUT_##input, NEEDS_##needs, \
	  success, LIMIT_##limit, COOKIES_##cookies, NULL },
#define LOCAL(method, path, answer)                                      \
	{ #method, path,       SUBJ_COUNT,   INPUT_QUERY, NEEDS_NOTHING, \
	  200,     LIMIT_NONE, COOKIES_NONE, answer },
#include "routes.def"
#undef ROUTE
#undef LOCAL
};

const size_t route_count = COUNT(routes);

static size_t segment_len(const char *s)
{
	return strcspn(s, "/");
}

static bool is_param(const char *segment)
{
	return segment[0] == '{';
}

/* Compares decoded: %69nstances is instances, and %2F is no separator. */
static bool segment_is(const char *got, size_t got_len, const char *want, size_t want_len)
{
	char text[SEGMENT_MAX];

	if (!memchr(got, '%', got_len))
		return got_len == want_len && memcmp(got, want, want_len) == 0;
	return percent_decode(got, got_len, false, text, sizeof(text)) &&
	       strlen(text) == want_len && memcmp(text, want, want_len) == 0;
}

static bool path_fits(const char *pattern, const char *path)
{
	while (*pattern == '/' && *path == '/') {
		size_t want = segment_len(++pattern), got = segment_len(++path);

		if (is_param(pattern) ? got == 0 : !segment_is(path, got, pattern, want))
			return false;
		pattern += want;
		path += got;
	}
	return !*pattern && !*path;
}

/* The path under its base; NULL where it has none. */
static const char *under_base(const char *path)
{
	static const char *const bases[] = { "/api/", "/v1/" };

	for (size_t i = 0; i < COUNT(bases); i++)
		if (strncmp(path, bases[i], strlen(bases[i])) == 0)
			return path + strlen(bases[i]) - 1;
	return NULL;
}

static void allow_add(char allow[ROUTE_ALLOW_SIZE], const char *method)
{
	size_t len = strlen(allow);

	snprintf(allow + len, ROUTE_ALLOW_SIZE - len, "%s%s%s", len ? ", " : "", method,
	         strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int route_find(const char *method, const char *path, const struct route **ret,
               const char **ret_path, char allow[ROUTE_ALLOW_SIZE], struct err *e)
{
	const char *under = under_base(path);

	allow[0] = '\0';
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < route_count; i++) {
		const struct route *r = &routes[i];

		if (!(under && path_fits(r->path, under)) &&
		    !(r->local && path_fits(r->path, path)))
			continue;
		if (strcmp(r->method, method) == 0) {
			*ret = r;
			*ret_path = under;
			return 0;
		}
		allow_add(allow, r->method);
	}
	if (!allow[0])
		return err_set(e, ERR_NOT_FOUND, "there is nothing at this path");
	allow_add(allow, "OPTIONS");
	return err_set(e, ERR_METHOD, "this path takes %s", allow);
}

static int put_param(const char *pattern, size_t want, const char *path, size_t got, cJSON *fields,
                     struct err *e)
{
	char name[64], value[SEGMENT_MAX];

	snprintf(name, sizeof(name), "%.*s", (int)want - 2, pattern + 1);
	if (!percent_decode(path, got, false, value, sizeof(value)))
		return err_field(e, name, "is not well-formed in the path");
	cJSON_DeleteItemFromObjectCaseSensitive(fields, name);
	if (!cJSON_AddStringToObject(fields, name, value))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

int route_add_params(const struct route *r, const char *path, cJSON *fields, struct err *e)
{
	const char *pattern = r->path;

	while (*pattern == '/') {
		size_t want = segment_len(++pattern), got = segment_len(++path);

		if (is_param(pattern) && put_param(pattern, want, path, got, fields, e) < 0)
			return -1;
		pattern += want;
		path += got;
	}
	return 0;
}
