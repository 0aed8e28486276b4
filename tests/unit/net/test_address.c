#include "net/address.h"

#include "test.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

static const struct {
	const char *text;
	bool is_public;
} cases[] = {
	{ "1.1.1.1", true },
	{ "9.255.255.255", true },
	{ "11.0.0.0", true },
	{ "100.63.255.255", true },
	{ "100.128.0.0", true },
	{ "172.15.255.255", true },
	{ "172.32.0.0", true },
	{ "223.255.255.255", true },
	{ "0.0.0.0", false },
	{ "10.0.0.1", false },
	{ "100.64.0.1", false },
	{ "127.0.0.1", false },
	{ "127.255.255.255", false },
	{ "169.254.169.254", false },
	{ "172.16.0.1", false },
	{ "172.31.255.255", false },
	{ "192.168.1.1", false },
	{ "198.18.0.1", false },
	{ "224.0.0.1", false },
	{ "255.255.255.255", false },
	{ "2606:4700:4700::1111", true },
	{ "2a00:1450:4001::1", true },
	{ "::", false },
	{ "::1", false },
	{ "::127.0.0.1", false },
	{ "::ffff:127.0.0.1", false },
	{ "::ffff:10.1.2.3", false },
	{ "::ffff:1.1.1.1", true },
	{ "64:ff9b::7f00:1", false },
	{ "64:ff9b::101:101", true },
	{ "64:ff9b:1::1", false },
	{ "2002:7f00:1::", false },
	{ "2002:a00:1::1", false },
	{ "2001::1", false },
	{ "2001:db8::1", false },
	{ "fc00::1", false },
	{ "fdff::1", false },
	{ "fe80::1", false },
	{ "febf::1", false },
	{ "ff02::1", false },
};

static void private_addresses_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sockaddr_in in = { .sin_family = AF_INET };
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
		bool is_v6 = strchr(cases[i].text, ':') != NULL;

		print_message("  %s\n", cases[i].text);
		assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, cases[i].text,
		                           is_v6 ? (void *)&in6.sin6_addr : (void *)&in.sin_addr),
		                 1);
		assert_int_equal(address_is_public(is_v6 ? (const struct sockaddr *)&in6
		                                         : (const struct sockaddr *)&in),
		                 cases[i].is_public);
	}
}

static void other_families_are_not_public(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	(void)state;
	assert_false(address_is_public((const struct sockaddr *)&un));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(private_addresses_are_told_apart),
		cmocka_unit_test(other_families_are_not_public),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
