#include "base/err.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct {
	const char *name;
	int http;
	bool retry;
	const char *text;
} codes[ERR_CODE_COUNT] = {
	[ERR_NONE] = { "OK", 200, false, NULL },
#define ERR_CODE(code, name, http, retry, text) [ERR_##code] = { name, http, retry, text },
#include "base/err_codes.def"
#undef ERR_CODE
};
/* clang-format on */

static int err_vset(struct err *e, enum err_code code, const char *field, const char *fmt,
                    va_list ap)
{
	char msg[sizeof(e->msg) + 1], path[sizeof(e->field)];

	/* Through copies: an argument may be e->msg or e->field itself. */
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	utf8_copy(path, sizeof(path), field);
	*e = (struct err){ .code = code };
	utf8_copy(e->msg, sizeof(e->msg), msg);
	memcpy(e->field, path, sizeof(e->field));
	return -1;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, code, "", fmt, ap);
	va_end(ap);
	return -1;
}

int err_field(struct err *e, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(e, ERR_INVALID, field, fmt, ap);
	va_end(ap);
	return -1;
}

int err_busy(struct err *e, enum err_code code, int retry_after_s, const char *msg)
{
	err_set(e, code, "%s", msg);
	e->retry_after_s = retry_after_s;
	return -1;
}

/* What does not fit is cut off between two characters. */
static void put_both(char *to, size_t size, const char *a, const char *between, const char *b)
{
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s", a, between, b);
	utf8_copy(to, size, text);
}

int err_wrap(struct err *e, const char *what)
{
	char inner[sizeof(e->msg)], outer[61];

	memcpy(inner, e->msg, sizeof(inner));
	utf8_copy(outer, sizeof(outer), what);
	put_both(e->msg, sizeof(e->msg), outer, ": ", inner);
	return -1;
}

int err_under(struct err *e, const char *outer)
{
	char inner[sizeof(e->field)], front[31];

	memcpy(inner, e->field, sizeof(inner));
	utf8_copy(front, sizeof(front), outer);
	put_both(e->field, sizeof(e->field), front, inner[0] ? "." : "", inner);
	return -1;
}

const char *err_name(enum err_code code)
{
	return codes[code].name;
}

enum err_code err_from_name(const char *name)
{
	for (int i = 1; i < ERR_CODE_COUNT; i++)
		if (strcmp(codes[i].name, name) == 0)
			return (enum err_code)i;
	return ERR_INTERNAL;
}

int err_http(enum err_code code)
{
	return codes[code].http;
}

bool err_is_retryable(enum err_code code)
{
	return codes[code].retry;
}

const char *err_public(const struct err *e)
{
	return codes[e->code].text ? codes[e->code].text : e->msg;
}
