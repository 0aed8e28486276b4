#include "client_address.h"

#include "test.h"

OWN_DEFINE(list, struct proxy_list *, proxy_list_free)

static const struct {
	const char *what, *proxies, *peer, *forwarded, *want;
} cases[] = {
	{ "straight", "127.0.0.1", "203.0.113.9", NULL, "203.0.113.9" },
	{ "straight, and it lies", "127.0.0.1", "203.0.113.9", "1.2.3.4", "203.0.113.9" },
	{ "through our proxy", "127.0.0.1", "127.0.0.1", "1.2.3.4", "1.2.3.4" },
	{ "through it, and it lies", "127.0.0.1", "127.0.0.1", "9.9.9.9, 1.2.3.4", "1.2.3.4" },
	{ "through two of ours", "127.0.0.1,10.0.0.0/8", "127.0.0.1", "1.2.3.4, 10.1.2.3",
	  "1.2.3.4" },
	{ "through one that is not", "127.0.0.1", "127.0.0.1", "1.2.3.4, 10.1.2.3", "10.1.2.3" },
	{ "the proxy itself", "127.0.0.1", "127.0.0.1", NULL, "127.0.0.1" },
	{ "all are ours", "127.0.0.1,10.0.0.0/8", "127.0.0.1", "10.9.9.9, 10.1.2.3", "10.9.9.9" },
	{ "nobody is trusted", "", "127.0.0.1", "1.2.3.4", "127.0.0.1" },
	{ "IPv6", "127.0.0.1", "127.0.0.1", "2001:db8::1", "2001:db8::1" },
	{ "with a port", "127.0.0.1", "127.0.0.1", "1.2.3.4:567", "1.2.3.4" },
	{ "IPv6 with a port", "127.0.0.1", "127.0.0.1", "[2001:db8::1]:567", "2001:db8::1" },
	{ "IPv4 in IPv6", "127.0.0.1", "127.0.0.1", "::ffff:1.2.3.4", "1.2.3.4" },
	{ "no address", "127.0.0.1", "127.0.0.1", "unknown", "127.0.0.1" },
	{ "no address further right", "127.0.0.1", "127.0.0.1", "1.2.3.4, unknown", "127.0.0.1" },
	{ "empty", "127.0.0.1", "127.0.0.1", "", "127.0.0.1" },
	{ "commas", "127.0.0.1", "127.0.0.1", ",,,", "127.0.0.1" },
	{ "spaces and tabs", "127.0.0.1", "127.0.0.1", "9.9.9.9 ,\t1.2.3.4 ", "1.2.3.4" },
	{ "too long to be one", "127.0.0.1", "127.0.0.1",
	  "1.2.3.4 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	  "127.0.0.1" },
	{ "unclosed bracket", "127.0.0.1", "127.0.0.1", "[::1", "127.0.0.1" },
	{ "within a /12", "172.16.0.0/12", "172.31.255.255", "1.2.3.4", "1.2.3.4" },
	{ "past a /12", "172.16.0.0/12", "172.32.0.0", "1.2.3.4", "172.32.0.0" },
	{ "everybody", "0.0.0.0/0", "8.8.8.8", "1.2.3.4", "1.2.3.4" },
	{ "a network of IPv6", "127.0.0.1 fd00::/8", "127.0.0.1", "1.2.3.4, fd12::1", "1.2.3.4" },
	{ "a peer that is none", "127.0.0.1", "", "1.2.3.4", "0.0.0.0" },
};

static void only_our_proxies_are_believed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(list) struct proxy_list *l = NULL;
		char got[ADDRESS_TEXT_SIZE];
		struct err e = ERR_INIT;

		print_message("  %s\n", cases[i].what);
		assert_ok(proxy_list_new(cases[i].proxies, &l, &e), &e);
		client_address(l, cases[i].peer, cases[i].forwarded, got);
		assert_string_equal(got, cases[i].want);
	}
}

static void a_list_that_is_wrong_is_refused(void **state)
{
	static const char *const bad[] = { "localhost",  "1.2.3",      "1.2.3.4/33",
		                           "1.2.3.4/",   "1.2.3.4/x",  "::1/129",
		                           "1.2.3.4/-1", "1.2.3.4 /8", "fd00::/8/8" };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		OWN(list) struct proxy_list *l = NULL;
		struct err e = ERR_INIT;

		print_message("  %s\n", bad[i]);
		assert_fails(proxy_list_new(bad[i], &l, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, "TRUSTED_PROXIES");
	}
}

static void an_ipv6_client_is_its_network(void **state)
{
	char got[ADDRESS_TEXT_SIZE];

	(void)state;
	client_network("2001:db8:1:2:3:4:5:6", got);
	assert_string_equal(got, "2001:db8:1:2::");
	client_network("2001:db8:1:2:ffff::", got);
	assert_string_equal(got, "2001:db8:1:2::");
	client_network("1.2.3.4", got);
	assert_string_equal(got, "1.2.3.4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_our_proxies_are_believed),
		cmocka_unit_test(a_list_that_is_wrong_is_refused),
		cmocka_unit_test(an_ipv6_client_is_its_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
