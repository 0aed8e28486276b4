#include "mail/courier.h"
#include "mail/letter.h"

#include "test.h"

#include <sodium.h>

static const struct letter sample = {
	.id = "3f2b8c1e-9a4d-4e57-8b0c-6d1e2f3a4b5c",
	.from = "noreply@zaki.example",
	.to = "ada@example.org",
	.public_url = "https://zaki.example",
	.token = "TOKEN_TOKEN_TOKEN_TOKEN_TOKEN_TOKEN_TOKEN_T",
	.email = "ada@example.org",
	.detail = "new@example.org",
	.address = "203.0.113.9",
	.asked_ms = 1770724800000,
	.now_ms = 1770724805000,
};

static struct arena arena;

/* The nth part's text, out of base64. */
static const char *part_of(const char *mail, int n)
{
	static char text[16384];
	const char *at = mail;
	size_t len = 0;

	for (int i = 0; i <= n; i++) {
		at = strstr(at, "Content-Transfer-Encoding: base64\r\n\r\n");
		assert_non_null(at);
		at += strlen("Content-Transfer-Encoding: base64\r\n\r\n");
	}
	assert_int_equal(sodium_base642bin((unsigned char *)text, sizeof(text) - 1, at,
	                                   (size_t)(strstr(at, "\r\n--") - at), "\r\n", &len, NULL,
	                                   sodium_base64_VARIANT_ORIGINAL),
	                 0);
	text[len] = '\0';
	return text;
}

static const char *write_it(const struct letter *l)
{
	const char *mail = NULL;
	struct err e = ERR_INIT;

	arena_done(&arena);
	arena_init(&arena, (size_t)1 << 20);
	assert_ok(letter_write(l, &arena, &mail, &e), &e);
	return mail;
}

static void every_mail_says_the_same_in_both_parts(void **state)
{
	(void)state;
	for (int i = 0; i < MAIL_COUNT; i++) {
		struct letter l = sample;
		const char *mail;

		l.row = &mail_rows[i];
		print_message("  %s\n", l.row->name);
		mail = write_it(&l);
		assert_true((l.row->path != NULL) == (l.row->purpose != LINK_NONE));
		assert_true((l.row->path != NULL) == (l.row->valid_s > 0));
		for (int n = 0; n < 2; n++) {
			const char *part = part_of(mail, n);

			assert_true((strstr(part, l.token) != NULL) ==
			            (l.row->purpose != LINK_NONE));
			assert_null(strchr(part, '{'));
			assert_non_null(strstr(part, l.public_url));
		}
	}
}

static void its_head_is_as_the_rfc_has_it(void **state)
{
	struct letter l = sample;
	const char *mail;

	(void)state;
	l.row = &mail_rows[MAIL_RESET_PASSWORD];
	mail = write_it(&l);
	assert_memory_equal(mail, "From: Zaki <noreply@zaki.example>\r\n", 35);
	assert_non_null(strstr(mail, "\r\nTo: <ada@example.org>\r\n"));
	assert_non_null(strstr(mail, "\r\nDate: Tue, 10 Feb 2026 12:00:05 +0000\r\n"));
	assert_non_null(strstr(mail, "\r\nMessage-ID: <3f2b8c1e-9a4d-4e57-8b0c-6d1e2f3a4b5c"
	                             "@zaki.example>\r\n"));
	/* In transit the link is not readable by whoever only greps. */
	assert_null(strstr(mail, l.token));
	for (const char *line = mail; line; line = strstr(line, "\r\n")) {
		line += line == mail ? 0 : 2;
		assert_true(strcspn(line, "\r\n") <= 200);
		assert_true(line[strcspn(line, "\r\n")] != '\n');
	}
}

static void html_stays_text(void **state)
{
	struct letter l = sample;
	const char *html;

	(void)state;
	l.row = &mail_rows[MAIL_EMAIL_CHANGE_OLD];
	l.email = "o'neil&\"<script>alert(1)</script>@example.org";
	l.detail = "<img src=x onerror=alert(1)>@example.org";
	l.address = NULL;
	html = part_of(write_it(&l), 1);
	assert_null(strstr(html, "<script"));
	assert_null(strstr(html, "<img"));
	assert_non_null(strstr(html, "o&#39;neil&amp;&quot;&lt;script&gt;alert(1)"));
	assert_non_null(strstr(html, "an address that is not known"));
}

/* A value is put in and not looked into: {names} of a stranger's stay as they are. */
static void values_are_not_expanded(void **state)
{
	struct letter l = sample;

	(void)state;
	l.row = &mail_rows[MAIL_RESET_PASSWORD];
	l.email = "{from}{from}{when}@example.org";
	assert_non_null(strstr(part_of(write_it(&l), 0), "{from}{from}{when}@example.org"));
}

static void pauses_double_and_end(void **state)
{
	(void)state;
	assert_int_equal(courier_pause_s(1, 10, 0), 10);
	assert_int_equal(courier_pause_s(2, 10, 0), 20);
	assert_int_equal(courier_pause_s(5, 10, 0), 160);
	assert_int_equal(courier_pause_s(60, 10, 0), MAIL_PAUSE_MAX_S);
	for (unsigned random = 0; random < 3000; random += 7)
		assert_in_range(courier_pause_s(3, 10, random), 20, 40);
	assert_in_range(courier_pause_s(1, 1, 999), 1, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mail_says_the_same_in_both_parts),
		cmocka_unit_test(its_head_is_as_the_rfc_has_it),
		cmocka_unit_test(html_stays_text),
		cmocka_unit_test(values_are_not_expanded),
		cmocka_unit_test(pauses_double_and_end),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	arena_done(&arena);
	return r;
}
