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

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Labels of letters, digits and inner hyphens; the last has a letter, or it is an IP address. What is
 * not ASCII is a letter here: which of it may be in a name is for IDNA to say (libidn2). */
static bool is_domain(const char *s)
{
	size_t label = 0;
	bool has_dot = false, has_letter = false;

	for (; *s; s++) {
		if (*s == '.') {
			if (label == 0 || s[-1] == '-')
				return false;
			has_dot = true;
			has_letter = false;
			label = 0;
		} else if (is_letter(*s) || is_digit(*s) || (*s & 0x80) ||
		           (*s == '-' && label > 0)) {
			if (++label > 63)
				return false;
			has_letter |= is_letter(*s) || (*s & 0x80);
		} else {
			return false;
		}
	}
	return has_dot && has_letter && s[-1] != '-';
}

static const char *check_email(const char *s)
{
	static const char *const wrong = "must be an e-mail address";
	const char *at = strrchr(s, '@');
	size_t local = at ? (size_t)(at - s) : 0;

	if (!at || local == 0 || local > 64 || strlen(s) > 254)
		return wrong;
	for (const char *p = s; p < at; p++)
		if (*p <= ' ' || *p >= 0x7f)
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

	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		bool is_c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
		/* U+2028 and U+2029 end a line as well. */
		bool is_end = p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);

		if (*p < 0x20 || *p == 0x7f || is_c1 || is_end)
			return "must not have control characters";
	}
	if (len > 0 && (s[0] == ' ' || s[len - 1] == ' '))
		return "must not begin or end with a space";
	return NULL;
}

static const char *check_token(const char *s)
{
	return is_visible(s) ? NULL : "must be visible ASCII without spaces";
}

/* "host", "host:port" or "[address]:port", of which len bytes count. */
static bool is_host(const char *s, size_t len)
{
	bool is_v6 = s[0] == '[';
	size_t n = is_v6 ? 1 : 0;
	long port = 0;

	while (n < len && (is_letter(s[n]) || is_digit(s[n]) || s[n] == '.' ||
	                   (is_v6 ? s[n] == ':' : s[n] == '-' || s[n] == '_')))
		n++;
	if (n == (is_v6 ? 1 : 0) || (is_v6 && s[n++] != ']'))
		return false;
	if (n == len)
		return true;
	if (s[n++] != ':' || n == len)
		return false;
	for (; n < len && is_digit(s[n]) && port <= 65535; n++)
		port = 10 * port + (s[n] - '0');
	return n == len && port >= 1 && port <= 65535;
}

/* Narrower than what URL parsers take: two that read one text differently are a way around a
 * check. */
static const char *check_url(const char *s)
{
	const char *host = strncmp(s, "http://", 7) == 0    ? s + 7
	                   : strncmp(s, "https://", 8) == 0 ? s + 8
	                                                    : NULL;

	if (!host || !is_visible(s) || !is_host(host, strcspn(host, "/?#")))
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
