#include "telegram.h"

#include "unit/net/httpd.h"

#define SECRET "AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
#define TOKEN  "7001:" SECRET
#define JSON   "Content-Type: application/json\r\nConnection: close\r\n\r\n"

static void token_form_is_checked(void **state)
{
	/* clang-format off */
	static const struct {
		const char *what, *token;
		long long id; /* 0: refused */
	} cases[] = {
		{ "usual", TOKEN,                                    7001 },
		{ "a long id", "123456789012345678:" SECRET,             123456789012345678 },
		{ "thirty characters", "1:012345678901234567890123456789",       1 },
		{ "nothing", "",                                       0 },
		{ "no colon", "7001",                                   0 },
		{ "nothing before it", ":" SECRET,                               0 },
		{ "nothing after it", "7001:",                                  0 },
		{ "half of it", "7001:AAEhBOweik6ad9r",                   0 },
		{ "an id too long", "1234567890123456789:" SECRET,            0 },
		{ "a leading zero", "07001:" SECRET,                          0 },
		{ "a sign", "-7001:" SECRET,                          0 },
		{ "a slash", "7001:AAEhBOweik6ad9r_QXMENQjcrGbqCr/K-bc", 0 },
		{ "a space at the end", TOKEN " ",                                0 },
		{ "two colons", "7001:" SECRET ":" SECRET,                0 },
		{ "a line break", TOKEN "\r\n",                             0 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err e = ERR_INIT;
		long long id = 0;

		print_message("  %s\n", cases[i].what);
		if (cases[i].id) {
			assert_ok(telegram_token_check(cases[i].token, &id, &e), &e);
			assert_int_equal(id, cases[i].id);
			continue;
		}
		assert_fails(telegram_token_check(cases[i].token, &id, &e), &e,
		             ERR_BOT_TOKEN_INVALID);
		assert_string_equal(e.field, "bot_token");
		assert_int_equal(id, 0);
		assert_null(strstr(e.msg, "QXMENQjcr"));
	}
}

static void token_longer_than_its_limit_is_refused(void **state)
{
	char token[TELEGRAM_TOKEN_MAX + 2] = "7001:";
	struct err e = ERR_INIT;
	long long id;

	(void)state;
	memset(token + 5, 'a', TELEGRAM_TOKEN_MAX + 1 - 5);
	assert_fails(telegram_token_check(token, &id, &e), &e, ERR_BOT_TOKEN_INVALID);
}

#define SAYS(status, body) "HTTP/1.1 " status "\r\n" JSON body
#define ME(id, is_bot, more)                                                       \
	SAYS("200 OK", "{\"ok\":true,\"result\":{\"id\":" id ",\"is_bot\":" is_bot \
	               ",\"first_name\":\"L\\u00e4b\"" more "}}")
#define USERNAME ",\"username\":\"lab_bot\""
#define LONG     "0123456789012345678901234567890123456789012345678901234567890123456789"
#define BUSY     "429 Too Many Requests"

/* clang-format off */
static const struct {
	const char *what, *answer;
	enum err_code code;
	const char *name; /* of a bot */
	int retry_after_s;
} cases[] = {
	{ "a bot", ME("7001", "true", USERNAME), ERR_NONE, "L\u00e4b", 0 },
	{ "with two names", ME("7001", "true", USERNAME ",\"last_name\":\"Bot\""), ERR_NONE, "L\u00e4b Bot", 0 },
	{ "more than we know", ME("7001", "true", USERNAME ",\"can_join_groups\":true"), ERR_NONE, "L\u00e4b", 0 },
	{ "a person", ME("7001", "false", USERNAME), ERR_BOT_TOKEN_INVALID, NULL, 0 },
	{ "another's id", ME("7002", "true", USERNAME), ERR_UPSTREAM, NULL, 0 },
	{ "no username", ME("7001", "true", ""), ERR_UPSTREAM, NULL, 0 },
	{ "username too long", ME("7001", "true", ",\"username\":\"" LONG "\""), ERR_UPSTREAM, NULL, 0 },
	{ "not ok", SAYS("200 OK", "{\"ok\":false}"), ERR_UPSTREAM, NULL, 0 },
	{ "no result", SAYS("200 OK", "{\"ok\":true}"), ERR_UPSTREAM, NULL, 0 },
	{ "a page", SAYS("200 OK", "<html>hotel wifi</html>"), ERR_UPSTREAM, NULL, 0 },
	{ "nothing in it", SAYS("200 OK", ""), ERR_UPSTREAM, NULL, 0 },
	{ "unknown token", SAYS("401 Unauthorized", "{\"ok\":false}"), ERR_BOT_TOKEN_INVALID, NULL, 0 },
	{ "unknown form", SAYS("404 Not Found", "{\"ok\":false}"), ERR_BOT_TOKEN_INVALID, NULL, 0 },
	{ "too many", SAYS(BUSY, "{\"parameters\":{\"retry_after\":7}}"), ERR_LIMIT, NULL, 7 },
	{ "too many for ages", SAYS(BUSY, "{\"parameters\":{\"retry_after\":1e9}}"), ERR_LIMIT, NULL, 3600 },
	{ "too many, unsaid", SAYS(BUSY, "busy"), ERR_LIMIT, NULL, 0 },
	{ "broken", SAYS("502 Bad Gateway", "{}"), ERR_UPSTREAM, NULL, 0 },
	{ "moved", SAYS("302 Found\r\nLocation: http://example.org/", ""), ERR_UPSTREAM, NULL, 0 },
	{ "silent hang-up", "", ERR_UNAVAILABLE, NULL, 0 },
};
/* clang-format on */

static void answers_of_get_me_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct httpd_answer answer = { "*", cases[i].answer, HTTPD_CLOSE };
		struct http_client_opt opt = { .connect_ms = 1000 };
		struct telegram_bot bot = { .id = -1 };
		struct http_client *c = NULL;
		struct err e = ERR_INIT;
		struct httpd server;
		struct arena a;
		char base[64];

		print_message("  %s\n", cases[i].what);
		arena_init(&a, 64 * 1024);
		httpd_start(&server, &answer, 1, NULL);
		snprintf(base, sizeof(base), "http://127.0.0.1:%d", server.port);
		opt.base_url = base;
		assert_ok(http_client_open(&opt, &c, &e), &e);
		if (cases[i].code) {
			assert_fails(telegram_get_me(c, TOKEN, &a, &bot, &e), &e, cases[i].code);
			assert_int_equal(bot.id, -1);
			assert_string_equal(e.field,
			                    e.code == ERR_BOT_TOKEN_INVALID ? "bot_token" : "");
			assert_null(strstr(e.msg, SECRET));
			assert_int_equal(e.retry_after_s, cases[i].retry_after_s);
		} else {
			assert_ok(telegram_get_me(c, TOKEN, &a, &bot, &e), &e);
			assert_int_equal(bot.id, 7001);
			assert_string_equal(bot.username, "lab_bot");
			assert_string_equal(bot.name, cases[i].name);
		}
		assert_memory_equal(server.last, "GET /bot" TOKEN "/getMe HTTP/1.1\r\n",
		                    sizeof("GET /bot" TOKEN "/getMe HTTP/1.1\r\n") - 1);
		http_client_close(c);
		httpd_stop(&server);
		arena_done(&a);
	}
}

static void nobody_is_asked_about_a_text_that_is_no_token(void **state)
{
	struct http_client_opt opt = { .connect_ms = 1000, .base_url = "http://127.0.0.1:1" };
	struct telegram_bot bot;
	struct http_client *c = NULL;
	struct err e = ERR_INIT;
	struct arena a;

	(void)state;
	arena_init(&a, 4096);
	assert_ok(http_client_open(&opt, &c, &e), &e);
	assert_fails(telegram_get_me(c, "../../etc", &a, &bot, &e), &e, ERR_BOT_TOKEN_INVALID);
	assert_fails(telegram_get_me(c, TOKEN, &a, &bot, &e), &e, ERR_UNAVAILABLE);
	assert_null(strstr(e.msg, SECRET));
	http_client_close(c);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(token_form_is_checked),
		cmocka_unit_test(token_longer_than_its_limit_is_refused),
		cmocka_unit_test(answers_of_get_me_are_told_apart),
		cmocka_unit_test(nobody_is_asked_about_a_text_that_is_no_token),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests_name("telegram", tests, NULL, NULL);
}
