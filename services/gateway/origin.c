#include "origin.h"

#include "base/own.h"

#include <ctype.h>
#include <strings.h>

#define ORIGINS_MAX 32
#define ORIGIN_MAX  255 /* bytes */

struct origin_list {
	size_t count;
	bool is_https;
	char items[ORIGINS_MAX][ORIGIN_MAX + 1]; /* [0] is PUBLIC_URL's; lower case */
};

/* "https://Host:443/path" is "https://host", as browsers write it (RFC 6454). */
static bool origin_of(const char *url, size_t len, char ret[ORIGIN_MAX + 1])
{
	const bool is_https = len > 8 && strncasecmp(url, "https://", 8) == 0;
	const size_t scheme_len = is_https ? 8 : 7;
	const char *port = is_https ? ":443" : ":80";
	size_t n = scheme_len;

	if (!is_https && (len <= 7 || strncasecmp(url, "http://", 7) != 0))
		return false;
	while (n < len && !strchr("/?#", url[n]))
		n++;
	if (n == scheme_len || n > ORIGIN_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (i >= scheme_len && !isalnum((unsigned char)url[i]) && !strchr("-.:[]_", url[i]))
			return false;
		ret[i] = (char)tolower((unsigned char)url[i]);
	}
	ret[n] = '\0';
	if (n > strlen(port) && strcmp(ret + n - strlen(port), port) == 0)
		ret[n - strlen(port)] = '\0';
	return true;
}

static int item_add(struct origin_list *l, const char *setting, const char *url, size_t len,
                    struct err *e)
{
	if (l->count == ORIGINS_MAX)
		return err_field(e, setting, "has more than %d entries", ORIGINS_MAX - 1);
	if (!origin_of(url, len, l->items[l->count]))
		return err_field(e, setting, "has '%.*s', which is not like https://host",
		                 len < 100 ? (int)len : 100, url);
	l->count++;
	return 0;
}

static int fill(struct origin_list *l, const char *public_url, const char *list, struct err *e)
{
	if (item_add(l, "PUBLIC_URL", public_url, strlen(public_url), e) < 0)
		return -1;
	l->is_https = strncmp(l->items[0], "https:", 6) == 0;
	for (;;) {
		size_t len;

		list += strspn(list, " ,");
		len = strcspn(list, " ,");
		if (len == 0)
			return 0;
		if (item_add(l, "CORS_ORIGINS", list, len, e) < 0)
			return -1;
		list += len;
	}
}

int origin_list_new(const char *public_url, const char *cors_origins, struct origin_list **ret,
                    struct err *e)
{
	struct origin_list *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (fill(l, public_url, cors_origins, e) < 0) {
		origin_list_free(l);
		return -1;
	}
	*ret = l;
	return 0;
}

void origin_list_free(struct origin_list *l)
{
	free(l);
}

bool origin_is_allowed(const struct origin_list *l, const char *origin)
{
	for (size_t i = 0; origin && i < l->count; i++)
		if (strcmp(l->items[i], origin) == 0)
			return true;
	return false;
}

bool origin_is_https(const struct origin_list *l)
{
	return l->is_https;
}

bool origin_may_act(const struct origin_list *l, const char *origin, const char *fetch_site)
{
	return origin_is_allowed(l, origin) ||
	       (fetch_site && strcasecmp(fetch_site, "same-origin") == 0);
}
