#include "origin.h"

#include "test.h"

OWN_DEFINE(list, struct origin_list *, origin_list_free)

static struct origin_list *make(const char *url, const char *cors)
{
	struct origin_list *l = NULL;
	struct err e = ERR_INIT;

	assert_ok(origin_list_new(url, cors, &l, &e), &e);
	return l;
}

static void an_origin_is_compared_whole(void **state)
{
	static const struct {
		const char *origin;
		bool allowed;
	} all[] = {
		{ "https://zaki.example", true },
		{ "http://localhost:5173", true },
		{ "https://app.example", true },
		{ NULL, false },
		{ "", false },
		{ "null", false },
		{ "https://zaki.example/", false },
		{ "https://zaki.example.evil.example", false },
		{ "https://evil-zaki.example", false },
		{ "http://zaki.example", false },
		{ "https://zaki.example:443", false },
		{ "https://zaki.example:8443", false },
		{ "http://localhost", false },
		{ "https://", false },
		{ "*", false },
	};
	OWN(list)
	struct origin_list *l = make("https://Zaki.example:443/start?x",
	                             "http://localhost:5173, https://APP.example/");

	(void)state;
	assert_true(origin_is_https(l));
	for (size_t i = 0; i < COUNT(all); i++)
		assert_int_equal(origin_is_allowed(l, all[i].origin), all[i].allowed);
}

static void only_a_page_of_ours_may_act_by_cookie(void **state)
{
	static const struct {
		const char *origin, *fetch_site;
		bool may;
	} all[] = {
		{ "http://zaki.example:8080", NULL, true },
		{ "http://zaki.example:8080", "same-site", true },
		{ NULL, "same-origin", true },
		{ "http://127.0.0.1:8080", "same-origin", true },
		{ NULL, NULL, false },
		{ NULL, "none", false },
		{ NULL, "same-site", false },
		{ NULL, "cross-site", false },
		{ "https://evil.example", NULL, false },
		{ "https://evil.example", "cross-site", false },
		{ "null", "cross-site", false },
	};
	OWN(list) struct origin_list *l = make("http://zaki.example:8080", "");

	(void)state;
	assert_false(origin_is_https(l));
	for (size_t i = 0; i < COUNT(all); i++)
		assert_int_equal(origin_may_act(l, all[i].origin, all[i].fetch_site), all[i].may);
}

static void a_setting_that_is_wrong_is_refused(void **state)
{
	static const struct {
		const char *url, *cors, *field;
	} bad[] = {
		{ "zaki.example", "", "PUBLIC_URL" },
		{ "ftp://zaki.example", "", "PUBLIC_URL" },
		{ "https://", "", "PUBLIC_URL" },
		{ "https:///x", "", "PUBLIC_URL" },
		{ "https://user@host", "", "PUBLIC_URL" },
		{ "https://a\"b", "", "PUBLIC_URL" },
		{ "https://a.example", "*", "CORS_ORIGINS" },
		{ "https://a.example", "https://b.example,null", "CORS_ORIGINS" },
		{ "https://a.example", "https://*.example", "CORS_ORIGINS" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		OWN(list) struct origin_list *l = NULL;
		struct err e = ERR_INIT;

		print_message("  %s %s\n", bad[i].url, bad[i].cors);
		assert_fails(origin_list_new(bad[i].url, bad[i].cors, &l, &e), &e, ERR_INVALID);
		assert_string_equal(e.field, bad[i].field);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_origin_is_compared_whole),
		cmocka_unit_test(only_a_page_of_ours_may_act_by_cookie),
		cmocka_unit_test(a_setting_that_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
