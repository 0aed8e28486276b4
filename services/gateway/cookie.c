#include "cookie.h"

const char *cookie_find(const char *header, const char *name, struct arena *a)
{
	size_t name_len = strlen(name), len, value_len = 0;
	const char *value = NULL;

	for (const char *s = header ? header : ""; *s; s += len) {
		s += strspn(s, "; \t");
		len = strcspn(s, ";");
		if (len <= name_len || strncmp(s, name, name_len) != 0 || s[name_len] != '=')
			continue;
		if (value)
			return NULL;
		value = s + name_len + 1;
		value_len = len - name_len - 1;
		while (value_len > 0 && strchr(" \t", value[value_len - 1]))
			value_len--;
	}
	return value && value_len > 0 ? arena_strndup(a, value, value_len) : NULL;
}

int cookie_lines(const char *access, long long access_s, const char *refresh, struct arena *a,
                 const char **ret, struct err *e)
{
	static const char attributes[] = "Path=/; HttpOnly; Secure; SameSite=Lax";

	*ret = arena_printf(a,
	                    "Set-Cookie: " COOKIE_ACCESS "=%s; Max-Age=%lld; %s\r\n"
	                    "Set-Cookie: " COOKIE_REFRESH "=%s; Max-Age=%d; %s\r\n",
	                    access ? access : "", access ? access_s : 0, attributes,
	                    refresh ? refresh : "", refresh ? COOKIE_REFRESH_S : 0, attributes);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
