#include "audit.h"

#include "test.h"

static const struct {
	const char *what, *address, *agent, *want_address, *want_agent;
} cases[] = {
	{ "nothing", "", "", NULL, "" },
	{ "IPv4", "203.0.113.9", "curl/7.88", "203.0.113.9", "curl/7.88" },
	{ "IPv6", "2001:db8::1", "x", "2001:db8::1", "x" },
	{ "IPv6 with a zone", "fe80::1%eth0", "x", NULL, "x" },
	{ "a name", "localhost", "x", NULL, "x" },
	{ "a port behind it", "203.0.113.9:80", "x", NULL, "x" },
	{ "SQL", "1'; DROP TABLE users", "'; DROP TABLE users; --", NULL,
	  "'; DROP TABLE users; --" },
	{ "bytes that are no text", "", "a\x01\x7f\xff\xc3\xa9z", NULL, "a?????z" },
};

static void what_a_client_says_is_made_harmless(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bus_ctx ctx = { 0 };
		struct client client;

		print_message("  %s\n", cases[i].what);
		snprintf(ctx.client_address, sizeof(ctx.client_address), "%s", cases[i].address);
		snprintf(ctx.client_agent, sizeof(ctx.client_agent), "%s", cases[i].agent);
		client_from(&ctx, &client);
		if (cases[i].want_address)
			assert_string_equal(client.address, cases[i].want_address);
		else
			assert_null(client.address);
		assert_string_equal(client.agent, cases[i].want_agent);
	}
}

static void the_longest_agent_fits_its_column(void **state)
{
	struct bus_ctx ctx = { 0 };
	struct client client;

	(void)state;
	memset(ctx.client_agent, 'x', BUS_AGENT_MAX);
	client_from(&ctx, &client);
	assert_int_equal(strlen(client.agent), BUS_AGENT_MAX);
	assert_true(BUS_AGENT_MAX <= 256); /* varchar(256) */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_client_says_is_made_harmless),
		cmocka_unit_test(the_longest_agent_fits_its_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
