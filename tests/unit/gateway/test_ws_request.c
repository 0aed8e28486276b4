#include "ws_request.h"

#include "test.h"

#define LINE    "GET /ws HTTP/1.1\r\n"
#define HOST    "Host: x\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
#define REST    HOST UPGRADE VERSION KEY "\r\n"

static const struct {
	const char *what, *text;
	enum err_code code;
	const char *field;
} cases[] = {
	{ "the least", LINE REST, ERR_NONE, "" },
	{ "a query", "GET /ws?ticket=a HTTP/1.1\r\n" REST, ERR_NONE, "" },
	{ "any case",
	  LINE "hOst:x\r\nUPGRADE:WebSocket\r\nconnection:keep-alive, upgrade\r\n" VERSION KEY
	       "\r\n",
	  ERR_NONE, "" },
	{ "a tab in a value", LINE "X: a\tb\r\n" REST, ERR_NONE, "" },

	{ "another path", "GET / HTTP/1.1\r\n" REST, ERR_NOT_FOUND, "" },
	{ "a longer path", "GET /ws/ HTTP/1.1\r\n" REST, ERR_NOT_FOUND, "" },
	{ "an encoded path", "GET /%77s HTTP/1.1\r\n" REST, ERR_NOT_FOUND, "" },
	{ "a whole URL", "GET http://x/ws HTTP/1.1\r\n" REST, ERR_NOT_FOUND, "" },
	{ "another method", "POST /ws HTTP/1.1\r\n" REST, ERR_METHOD, "" },
	{ "HTTP/1.0", "GET /ws HTTP/1.0\r\n" REST, ERR_INVALID, "" },
	{ "no version", "GET /ws\r\n" REST, ERR_INVALID, "" },
	{ "two spaces", "GET  /ws HTTP/1.1\r\n" REST, ERR_INVALID, "" },
	{ "nothing", "\r\n\r\n", ERR_INVALID, "" },
	{ "no end", LINE HOST, ERR_INVALID, "" },
	{ "no host", LINE UPGRADE VERSION KEY "\r\n", ERR_INVALID, "Host" },
	{ "no upgrade", LINE HOST VERSION KEY "\r\n", ERR_INVALID, "Upgrade" },
	{ "an upgrade to something else",
	  LINE HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", ERR_INVALID,
	  "Upgrade" },
	{ "no connection", LINE HOST "Upgrade: websocket\r\n" VERSION KEY "\r\n", ERR_INVALID,
	  "Upgrade" },
	{ "version 8", LINE HOST UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY "\r\n", ERR_INVALID,
	  "Sec-WebSocket-Version" },
	{ "no key", LINE HOST UPGRADE VERSION "\r\n", ERR_INVALID, "Sec-WebSocket-Key" },
	{ "a short key", LINE HOST UPGRADE VERSION "Sec-WebSocket-Key: AAAA\r\n\r\n", ERR_INVALID,
	  "Sec-WebSocket-Key" },
	{ "a key that is none",
	  LINE HOST UPGRADE VERSION "Sec-WebSocket-Key: \"AAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
	  ERR_INVALID, "Sec-WebSocket-Key" },
	{ "two keys", LINE KEY REST, ERR_INVALID, "Sec-WebSocket-Key" },
	{ "two hosts", LINE HOST REST, ERR_INVALID, "Host" },
	{ "two cookies", LINE "Cookie: a\r\nCookie: b\r\n" REST, ERR_INVALID, "Cookie" },
	{ "a folded line", LINE "X: a\r\n b\r\n" REST, ERR_INVALID, "" },
	{ "no colon", LINE "X\r\n" REST, ERR_INVALID, "" },
	{ "no name", LINE ": x\r\n" REST, ERR_INVALID, "" },
	{ "space before the colon", LINE "X : a\r\n" REST, ERR_INVALID, "" },
	{ "a bare LF", LINE "X: a\nY: b\r\n" REST, ERR_INVALID, "" },
	{ "a bare CR", LINE "X: a\rY: b\r\n" REST, ERR_INVALID, "" },
	{ "a control character", LINE "X: a\x01\r\n" REST, ERR_INVALID, "" },
};

static void an_upgrade_is_read_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ws_request r;
		char buf[1024];
		size_t len = strlen(cases[i].text);
		struct err e = ERR_INIT;
		int result;

		print_message("  %s\n", cases[i].what);
		memcpy(buf, cases[i].text, len + 1);
		result = ws_request_parse(buf, len, &r, &e);
		assert_int_equal(e.code, cases[i].code);
		assert_int_equal(result, cases[i].code == ERR_NONE ? 0 : -1);
		assert_string_equal(e.field, cases[i].field);
	}
}

static void what_it_holds_is_found(void **state)
{
	char buf[] = "GET /ws?token=a.b&x HTTP/1.1\r\nCookie: c=1 \r\nOrigin:\thttps://o\r\n"
		     "X-Forwarded-For: 1.2.3.4\r\n" REST;
	struct ws_request r;
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(ws_request_parse(buf, strlen(buf), &r, &e), &e);
	assert_string_equal(r.query, "token=a.b&x");
	assert_string_equal(r.cookie, "c=1");
	assert_string_equal(r.origin, "https://o");
	assert_string_equal(r.forwarded_for, "1.2.3.4");
	assert_string_equal(r.key, "AAAAAAAAAAAAAAAAAAAAAA==");
	assert_null(r.authorization);
}

static void a_zero_byte_is_no_end(void **state)
{
	char buf[] = LINE "X: a\0b\r\n" REST;
	struct ws_request r;
	struct err e = ERR_INIT;

	(void)state;
	assert_fails(ws_request_parse(buf, sizeof(buf) - 1, &r, &e), &e, ERR_INVALID);
}

static void more_fields_than_anyone_needs_are_refused(void **state)
{
	char buf[4096] = LINE;
	struct ws_request r;
	struct err e = ERR_INIT;
	size_t n = strlen(buf);

	(void)state;
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "X: %d\r\n", i);
	n += (size_t)snprintf(buf + n, sizeof(buf) - n, REST);
	assert_fails(ws_request_parse(buf, n, &r, &e), &e, ERR_HEADERS);
}

static void the_end_is_past_the_empty_line(void **state)
{
	(void)state;
	assert_int_equal(ws_request_end("", 0), 0);
	assert_int_equal(ws_request_end("a\r\n\r", 4), 0);
	assert_int_equal(ws_request_end("a\r\n\r\n", 5), 5);
	assert_int_equal(ws_request_end("a\r\n\r\nmore", 9), 5);
	assert_int_equal(ws_request_end("a\n\n", 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_upgrade_is_read_strictly),
		cmocka_unit_test(what_it_holds_is_found),
		cmocka_unit_test(a_zero_byte_is_no_end),
		cmocka_unit_test(more_fields_than_anyone_needs_are_refused),
		cmocka_unit_test(the_end_is_past_the_empty_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
