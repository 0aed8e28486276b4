#include "client_address.h"

#include "base/own.h"

#include <arpa/inet.h>
#include <stdint.h>

#define PROXIES_MAX 64

/* IPv4 ones as ::ffff:a.b.c.d, so that there is one form. */
struct address {
	uint8_t bytes[16];
};

struct proxy_list {
	size_t count;
	struct {
		struct address address;
		int bits;
	} items[PROXIES_MAX];
};

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_v4(const struct address *a)
{
	return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

static bool address_parse(const char *text, struct address *ret)
{
	struct address a;

	memcpy(a.bytes, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, a.bytes + 12) != 1 && inet_pton(AF_INET6, text, a.bytes) != 1)
		return false;
	*ret = a;
	return true;
}

static void address_text(const struct address *a, char ret[ADDRESS_TEXT_SIZE])
{
	if (is_v4(a))
		(void)inet_ntop(AF_INET, a->bytes + 12, ret, ADDRESS_TEXT_SIZE);
	else
		(void)inet_ntop(AF_INET6, a->bytes, ret, ADDRESS_TEXT_SIZE);
}

static bool is_within(const struct address *a, const struct address *net, int bits)
{
	int whole = bits / 8, rest = bits % 8;

	if (memcmp(a->bytes, net->bytes, (size_t)whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ net->bytes[whole]) >> (8 - rest)) == 0;
}

static bool is_proxy(const struct proxy_list *l, const struct address *a)
{
	for (size_t i = 0; i < l->count; i++)
		if (is_within(a, &l->items[i].address, l->items[i].bits))
			return true;
	return false;
}

/* "10.0.0.0/8" or one address. */
static int item_add(struct proxy_list *l, const char *text, size_t len, struct err *e)
{
	char copy[64], *slash, *end = NULL;
	struct address a;
	long bits, most;

	if (l->count == PROXIES_MAX)
		return err_field(e, "TRUSTED_PROXIES", "has more than %d entries", PROXIES_MAX);
	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	if (len >= sizeof(copy) || !address_parse(copy, &a))
		return err_field(e, "TRUSTED_PROXIES", "has '%s', which is no IP address", copy);

	most = is_v4(&a) ? 32 : 128;
	bits = slash ? strtol(slash + 1, &end, 10) : most;
	if (slash && (*end || end == slash + 1 || bits < 0 || bits > most))
		return err_field(e, "TRUSTED_PROXIES",
		                 "'%s' has a length of prefix that is not 0 to %ld", copy, most);
	l->items[l->count].address = a;
	l->items[l->count++].bits = (int)(is_v4(&a) ? bits + 96 : bits);
	return 0;
}

int proxy_list_new(const char *text, struct proxy_list **ret, struct err *e)
{
	struct proxy_list *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (;;) {
		size_t len;

		text += strspn(text, " ,");
		len = strcspn(text, " ,");
		if (len == 0)
			break;
		if (item_add(l, text, len, e) < 0) {
			proxy_list_free(l);
			return -1;
		}
		text += len;
	}
	*ret = l;
	return 0;
}

void proxy_list_free(struct proxy_list *l)
{
	free(l);
}

/* One element of X-Forwarded-For: an address, some proxies add a port ("1.2.3.4:5", "[::1]:5"). */
static bool element_parse(const char *text, size_t len, struct address *ret)
{
	char copy[64], *at = copy, *end;

	while (len > 0 && strchr(" \t", text[len - 1]))
		len--;
	while (len > 0 && strchr(" \t", text[0])) {
		text++;
		len--;
	}
	if (len == 0 || len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	if (copy[0] == '[') {
		at = copy + 1;
		end = strchr(at, ']');
		if (!end)
			return false;
		*end = '\0';
	} else if ((end = strchr(copy, ':')) && !strchr(end + 1, ':')) {
		*end = '\0';
	}
	return address_parse(at, ret);
}

void client_address(const struct proxy_list *l, const char *peer, const char *forwarded_for,
                    char ret[ADDRESS_TEXT_SIZE])
{
	size_t end = forwarded_for ? strlen(forwarded_for) : 0, start;
	struct address a = { { 0 } };

	if (!address_parse(peer, &a)) {
		snprintf(ret, ADDRESS_TEXT_SIZE, "0.0.0.0");
		return;
	}
	while (end > 0 && is_proxy(l, &a)) {
		for (start = end; start > 0 && forwarded_for[start - 1] != ',';)
			start--;
		if (!element_parse(forwarded_for + start, end - start, &a))
			break;
		end = start > 0 ? start - 1 : 0;
	}
	address_text(&a, ret);
}

void client_network(const char *address, char ret[ADDRESS_TEXT_SIZE])
{
	struct address a;

	if (address_parse(address, &a) && !is_v4(&a)) {
		memset(a.bytes + 8, 0, 8);
		address_text(&a, ret);
	} else {
		snprintf(ret, ADDRESS_TEXT_SIZE, "%s", address);
	}
}
