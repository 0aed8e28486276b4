/* What single header fields hold: cookies, addresses of proxies, traces, lists of options, origins. */

#include "client_address.h"
#include "cookie.h"
#include "head.h"
#include "origin.h"

#include "base/own.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void addresses(const char *text)
{
	struct proxy_list *local = NULL, *given = NULL;
	char address[ADDRESS_TEXT_SIZE], network[ADDRESS_TEXT_SIZE];
	struct err e = ERR_INIT;

	(void)proxy_list_new("127.0.0.1, 10.0.0.0/8, fd00::/8", &local, &e);
	client_address(local, "127.0.0.1", text, address);
	client_network(address, network);
	client_address(local, text, text, address);
	if (proxy_list_new(text, &given, &e) == 0)
		client_address(given, "10.1.2.3", text, address);
	proxy_list_free(given);
	proxy_list_free(local);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWN(mem) char *text = calloc(1, size + 1);
	OWN(arena) struct arena a = { .limit = 1 << 20 };
	struct origin_list *origins = NULL;
	struct err e = ERR_INIT;
	char trace[33];

	memcpy(text, data, size);
	(void)cookie_find(text, COOKIE_ACCESS, &a);
	(void)head_has_option(text, "keep-alive");
	head_trace(text, trace);
	addresses(text);
	if (origin_list_new("https://a.example", text, &origins, &e) == 0)
		(void)origin_may_act(origins, text, text);
	origin_list_free(origins);
	return 0;
}
