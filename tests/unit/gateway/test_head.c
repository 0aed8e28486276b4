#include "head.h"

#include "request.h"
#include "test.h"

#define HOST "Host: x\r\n"
#define UUID "0af7651916cd43dd8448eb211c80319c"

static const struct {
	const char *what, *lines; /* each ended by \r\n */
	enum err_code code;
	const char *field;
	long long body_len; /* where it is accepted */
} cases[] = {
	{ "the least", HOST, ERR_NONE, "", 0 },
	{ "a body", HOST "Content-Length: 5\r\n", ERR_NONE, "", 5 },
	{ "a body of nothing", HOST "Content-Length: 0\r\n", ERR_NONE, "", 0 },
	{ "space after the length", HOST "Content-Length: 5 \t\r\n", ERR_NONE, "", 5 },
	{ "chunks", HOST "Transfer-Encoding: Chunked\r\n", ERR_NONE, "", -1 },
	{ "any case", "hOST: x\r\ncontent-LENGTH: 7\r\n", ERR_NONE, "", 7 },
	{ "cookies twice", HOST "Cookie: a=1\r\nCookie: b=2\r\n", ERR_NONE, "", 0 },
	{ "empty value last", HOST "X:\r\n", ERR_NONE, "", 0 },
	{ "unknown twice", HOST "X: 1\r\nX: 2\r\n", ERR_NONE, "", 0 },

	{ "no host", "X: 1\r\n", ERR_INVALID, "Host", 0 },
	{ "nothing at all", "", ERR_INVALID, "Host", 0 },
	{ "two hosts", HOST HOST, ERR_INVALID, "Host", 0 },
	{ "two lengths", HOST "Content-Length: 5\r\nContent-Length: 5\r\n", ERR_INVALID,
	  "Content-Length", 0 },
	{ "length and chunks", HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
	  ERR_INVALID, "Content-Length", 0 },
	{ "two encodings", HOST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
	  ERR_INVALID, "Transfer-Encoding", 0 },
	{ "identity", HOST "Transfer-Encoding: identity\r\n", ERR_INVALID, "Transfer-Encoding", 0 },
	{ "a list of lengths", HOST "Content-Length: 5, 5\r\n", ERR_INVALID, "Content-Length", 0 },
	{ "no number", HOST "Content-Length: 5a\r\n", ERR_INVALID, "Content-Length", 0 },
	{ "a sign", HOST "Content-Length: +5\r\n", ERR_INVALID, "Content-Length", 0 },
	{ "below zero", HOST "Content-Length: -5\r\n", ERR_INVALID, "Content-Length", 0 },
	{ "hexadecimal", HOST "Content-Length: 0x5\r\n", ERR_INVALID, "Content-Length", 0 },
	{ "empty length", HOST "Content-Length:\r\n", ERR_INVALID, "Content-Length", 0 },
	{ "past 64 bits", HOST "Content-Length: 99999999999999999999\r\n", ERR_INVALID,
	  "Content-Length", 0 },
	{ "two tokens", HOST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", ERR_INVALID,
	  "Authorization", 0 },
	{ "two keys", HOST "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", ERR_INVALID,
	  "Idempotency-Key", 0 },
	{ "space before the colon", HOST "Content-Length : 5\r\n", ERR_INVALID, "Content-Length",
	  0 },
	{ "a folded line", HOST " and more\r\nContent-Length: 5\r\n", ERR_INVALID, "", 0 },
	{ "a tab in front", HOST "\tContent-Length: 5\r\n", ERR_INVALID, "", 0 },
	{ "a name that is none", HOST "\xc3\xa4: 1\r\nContent-Length: 5\r\n", ERR_INVALID, "", 0 },
	{ "no name", HOST ": 1\r\nContent-Length: 5\r\n", ERR_INVALID, "", 0 },
	{ "a bare LF", "Host: x\nContent-Length: 5\r\n", ERR_INVALID, "", 0 },
};

static void a_header_has_one_reading(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		OWN(arena) struct arena a = { .limit = 4096 };
		struct mg_request_info info;
		struct head h;
		char buf[1024];
		struct err e = ERR_INIT;
		int r;

		print_message("  %s\n", cases[i].what);
		snprintf(buf, sizeof(buf), "POST /x HTTP/1.1\r\n%s\r\n", cases[i].lines);
		request_cut(buf, &info);
		r = head_read(&info, &a, &h, &e);
		assert_int_equal(e.code, cases[i].code);
		assert_int_equal(r, cases[i].code == ERR_NONE ? 0 : -1);
		assert_string_equal(e.field, cases[i].field);
		if (r == 0)
			assert_int_equal(h.body_len, cases[i].body_len);
	}
}

static int read_long(size_t line, size_t count, struct err *e)
{
	OWN(arena) struct arena a = { .limit = 65536 };
	OWN(mem) char *buf = calloc(1, 65536 + count * (line + 16));
	struct mg_request_info info;
	struct head h;
	size_t n = (size_t)snprintf(buf, 64, "GET /x HTTP/1.1\r\n" HOST);

	for (size_t i = 0; i < count; i++) {
		n += (size_t)snprintf(buf + n, 16, "X%zu: ", i);
		memset(buf + n, 'a', line);
		n += line;
		n += (size_t)snprintf(buf + n, 3, "\r\n");
	}
	snprintf(buf + n, 3, "\r\n");
	request_cut(buf, &info);
	return head_read(&info, &a, &h, e);
}

static void a_header_has_an_end(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(read_long(10, 62, &e), &e);
	assert_ok(read_long(16000, 1, &e), &e);
	assert_fails(read_long(10, 63, &e), &e, ERR_HEADERS);
	assert_fails(read_long(10, 500, &e), &e, ERR_HEADERS);
	assert_fails(read_long(16400, 1, &e), &e, ERR_HEADERS);
	assert_fails(read_long(1000, 20, &e), &e, ERR_HEADERS);
}

static void the_connection_goes_on_as_civetweb_decides(void **state)
{
	static const struct {
		const char *version, *lines;
		bool keeps;
	} all[] = {
		{ "1.1", "", true },
		{ "1.1", "Connection: close\r\n", false },
		{ "1.1", "Connection: Keep-Alive\r\n", true },
		{ "1.1", "Connection: upgrade, keep-alive\r\n", true },
		{ "1.1", "Connection: upgrade\r\n", false },
		{ "1.0", "", false },
		{ "1.0", "Connection: keep-alive\r\n", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		OWN(arena) struct arena a = { .limit = 4096 };
		struct mg_request_info info;
		struct head h;
		char buf[256];
		struct err e = ERR_INIT;

		snprintf(buf, sizeof(buf), "GET / HTTP/%s\r\n" HOST "%s\r\n", all[i].version,
		         all[i].lines);
		request_cut(buf, &info);
		assert_ok(head_read(&info, &a, &h, &e), &e);
		assert_int_equal(h.keeps_alive, all[i].keeps);
	}
}

static void a_trace_is_honoured_when_well_formed(void **state)
{
	static const struct {
		const char *text, *trace;
	} all[] = {
		{ "00-" UUID "-b7ad6b7169203331-01", UUID },
		{ "cc-" UUID "-b7ad6b7169203331-00", UUID },
		{ NULL, "" },
		{ "", "" },
		{ "ff-" UUID "-b7ad6b7169203331-01", "" },
		{ "00-" UUID "-b7ad6b7169203331", "" },
		{ "00-" UUID "-b7ad6b7169203331-01-x", "" },
		{ "00-00000000000000000000000000000000-b7ad6b7169203331-01", "" },
		{ "00-" UUID "-0000000000000000-01", "" },
		{ "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "" },
		{ "00-0af7651916cd43dd8448eb211c80319\"-b7ad6b7169203331-01", "" },
	};
	char trace[33];

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		head_trace(all[i].text, trace);
		assert_string_equal(trace, all[i].trace);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_has_one_reading),
		cmocka_unit_test(a_header_has_an_end),
		cmocka_unit_test(the_connection_goes_on_as_civetweb_decides),
		cmocka_unit_test(a_trace_is_honoured_when_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
