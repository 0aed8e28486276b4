#include "wire/format.h"

#include "base/clock.h"
#include "base/uuid.h"

#include <string.h>

static const char *check_uuid(const char *s)
{
	return uuid_is_valid(s) ? NULL : "must be a lower-case UUID";
}

static bool is_visible(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f)
			return false;
	return true;
}

static bool is_domain(const char *s)
{
	size_t label = 0;
	bool has_dot = false;

	for (; *s; s++) {
		bool is_word = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		               (*s >= '0' && *s <= '9');

		if (*s == '.') {
			if (label == 0 || s[-1] == '-')
				return false;
			has_dot = true;
			label = 0;
		} else if (is_word || (*s == '-' && label > 0)) {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return has_dot && label > 0 && s[-1] != '-';
}

static const char *check_email(const char *s)
{
	static const char *const wrong = "must be an e-mail address";
	const char *at = strrchr(s, '@');
	size_t local = at ? (size_t)(at - s) : 0;

	if (!at || local == 0 || local > 64 || strlen(s) > 254 || !is_visible(s))
		return wrong;
	if (strcspn(s, "@\"(),:;<>[\\]") != local || s[0] == '.' || at[-1] == '.' ||
	    strstr(s, ".."))
		return wrong;
	return is_domain(at + 1) ? NULL : wrong;
}

static const char *check_timestamp(const char *s)
{
	return clock_text_is_valid(s) ? NULL : "must be an RFC 3339 time in UTC with milliseconds";
}

static const char *check_line(const char *s)
{
	size_t len = strlen(s);

	for (const unsigned char *p = (const unsigned char *)s; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return "must not have control characters";
	if (len > 0 && (s[0] == ' ' || s[len - 1] == ' '))
		return "must not begin or end with a space";
	return NULL;
}

static const char *check_token(const char *s)
{
	return is_visible(s) ? NULL : "must be visible ASCII without spaces";
}

static const char *check_url(const char *s)
{
	const char *host = strncmp(s, "http://", 7) == 0    ? s + 7
	                   : strncmp(s, "https://", 8) == 0 ? s + 8
	                                                    : NULL;
	size_t len = host ? strcspn(host, "/?#") : 0;

	if (len == 0 || !is_visible(s) || memchr(host, '@', len))
		return "must be an http or https URL without a user in it";
	return NULL;
}

const char *wire_format_check(enum wire_format f, const char *s)
{
	static const char *(*const checks[])(const char *) = {
		[WIRE_FORMAT_UUID] = check_uuid,           [WIRE_FORMAT_EMAIL] = check_email,
		[WIRE_FORMAT_TIMESTAMP] = check_timestamp, [WIRE_FORMAT_LINE] = check_line,
		[WIRE_FORMAT_TOKEN] = check_token,         [WIRE_FORMAT_URL] = check_url,
	};

	return f == WIRE_FORMAT_NONE ? NULL : checks[f](s);
}
