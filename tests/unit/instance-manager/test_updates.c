#include "test.h"

#include "owner/updates.h"

#define NONCE   "0123456789abcdef0123456789abcdef"
#define SINCE_S 1000LL

#define FROM(id) "\"from\":{\"id\":" id ",\"is_bot\":false},"
#define MESSAGE(from, text)                   \
	"{\"update_id\":1,\"message\":{" from \
	"\"chat\":{\"id\":7,\"type\":\"private\"},\"date\":1000,\"text\":\"" text "\"}}"
#define ANSWER(list) "{\"ok\":true,\"result\":[" list "]}"
#define OPENED(id)   MESSAGE(FROM(id), "/start " NONCE)

/* clang-format off */
static const struct {
	const char *what, *text;
	enum updates_verdict verdict;
	long long owner_id;
} cases[] = {
	{ "nothing waits",         ANSWER(""), UPDATES_NONE, 0 },
	{ "opened",                ANSWER(OPENED("7")), UPDATES_OWNER, 7 },
	{ "the first who opens",   ANSWER(OPENED("7") "," OPENED("8")), UPDATES_OWNER, 7 },
	{ "others wrote before",   ANSWER(MESSAGE(FROM("9"), "hi") "," OPENED("7")), UPDATES_OWNER, 7 },
	{ "a large id",            ANSWER(OPENED("9007199254740991")), UPDATES_OWNER, 9007199254740991 },
	{ "without the link",      ANSWER(MESSAGE(FROM("7"), "hi")), UPDATES_OTHER, 0 },
	{ "a bare start",          ANSWER(MESSAGE(FROM("7"), "/start")), UPDATES_OTHER, 0 },
	{ "another's link",        ANSWER(MESSAGE(FROM("7"), "/start 1123456789abcdef0123456789abcdef")), UPDATES_OTHER, 0 },
	{ "more than the link",    ANSWER(MESSAGE(FROM("7"), "/start " NONCE "0")), UPDATES_OTHER, 0 },
	{ "part of the link",      ANSWER(MESSAGE(FROM("7"), "/start 0123456789abcdef")), UPDATES_OTHER, 0 },
	{ "no text",               ANSWER("{\"message\":{" FROM("7") "\"chat\":{\"type\":\"private\"},\"date\":1000}}"), UPDATES_OTHER, 0 },
	{ "from before",           ANSWER("{\"message\":{" FROM("7") "\"chat\":{\"type\":\"private\"},\"date\":999,\"text\":\"/start " NONCE "\"}}"), UPDATES_NONE, 0 },
	{ "in a group",            ANSWER("{\"message\":{" FROM("7") "\"chat\":{\"type\":\"group\"},\"date\":1000,\"text\":\"/start " NONCE "\"}}"), UPDATES_NONE, 0 },
	{ "a bot",                 ANSWER("{\"message\":{\"from\":{\"id\":7,\"is_bot\":true},\"chat\":{\"type\":\"private\"},\"date\":1000,\"text\":\"/start " NONCE "\"}}"), UPDATES_NONE, 0 },
	{ "nobody's",              ANSWER("{\"message\":{\"chat\":{\"type\":\"private\"},\"date\":1000,\"text\":\"/start " NONCE "\"}}"), UPDATES_NONE, 0 },
	{ "an id of zero",         ANSWER(OPENED("0")), UPDATES_NONE, 0 },
	{ "an id below zero",      ANSWER(OPENED("-7")), UPDATES_NONE, 0 },
	{ "an id that is a part",  ANSWER(OPENED("7.5")), UPDATES_NONE, 0 },
	{ "an id beyond all",      ANSWER(OPENED("1e300")), UPDATES_NONE, 0 },
	{ "an id that is a text",  ANSWER(OPENED("\"7\"")), UPDATES_NONE, 0 },
	{ "something else",        ANSWER("{\"update_id\":1,\"edited_message\":{}},null,7,[]"), UPDATES_NONE, 0 },
};

static const char *const refused[] = {
	"", "nonsense", "[]", "{}", "{\"ok\":true}", "{\"ok\":false,\"result\":[]}", "{\"ok\":true,\"result\":{}}",
	"{\"ok\":true,\"result\":[]",
};
/* clang-format on */

static void who_has_opened_the_link_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct updates_seen seen = { 0 };
		struct err e = ERR_INIT;

		print_message("  %s\n", cases[i].what);
		assert_ok(updates_read(cases[i].text, strlen(cases[i].text), NONCE, SINCE_S, &seen,
		                       &e),
		          &e);
		assert_int_equal(seen.verdict, cases[i].verdict);
		assert_int_equal(seen.owner_id, cases[i].owner_id);
		assert_int_equal(seen.has_any, i > 0);
	}
}

static void what_is_no_answer_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct updates_seen seen = { .owner_id = 5 };
		struct err e = ERR_INIT;

		assert_fails(
			updates_read(refused[i], strlen(refused[i]), NONCE, SINCE_S, &seen, &e), &e,
			ERR_UPSTREAM);
		assert_int_equal(seen.owner_id, 5);
	}
}

/* What does not fit one answer may hide who opened the link: then nobody waits for them. */
static void a_full_list_is_not_waited_behind(void **state)
{
	static const char old[] =
		"{\"message\":{" FROM("7") "\"chat\":{\"type\":\"private\"},\"date\":1}}";
	OWN(mem) char *text = calloc(1, UPDATES_LIST_MAX * sizeof(old) + 64);
	struct updates_seen seen = { 0 };
	struct err e = ERR_INIT;
	size_t len = 0;

	(void)state;
	for (int i = 0; i < UPDATES_LIST_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(old) + 32, "%s%s",
		                        i ? "," : "{\"ok\":true,\"result\":[", old);
	memcpy(text + len, "]}", 3);
	assert_ok(updates_read(text, strlen(text), NONCE, SINCE_S, &seen, &e), &e);
	assert_int_equal(seen.verdict, UPDATES_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_opened_the_link_is_found),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(a_full_list_is_not_waited_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
