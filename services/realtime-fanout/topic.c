#include "topic.h"

#include "base/own.h"

#define PREFIX "zaki.evt."

/* clang-format off */
enum name_id {
#define TOPIC(name) NAME_##name,
#include "topics.def"
};

static const char *const names[] = {
#define TOPIC(name) #name,
#include "topics.def"
};

static const struct {
	const char *kind;
	enum name_id topic;
} rows[] = {
#define TOPIC_EVENTS(kind, topic) { #kind, NAME_##topic },
#include "topics.def"
};

static const char forms[] = "must be one of:"
#define TOPIC(name) " " #name ".ID"
#include "topics.def"
	;

#define OVER_KIND "instance"
#define OVER_WHAT "deleted"
/* clang-format on */

_Static_assert(COUNT(names) <= TOPIC_NAMES_MAX, "an event may go to all topics");

/* "<word>.<36 characters>" at s; the word's length, or 0. */
static size_t cut(const char *s, char ret_id[UUID_SIZE])
{
	size_t len = strcspn(s, ".");

	if (len == 0 || s[len] != '.' || strlen(s + len + 1) < UUID_SIZE - 1)
		return 0;
	snprintf(ret_id, UUID_SIZE, "%.36s", s + len + 1);
	return uuid_is_valid(ret_id) ? len : 0;
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(s, word, len) == 0;
}

static void fill(struct topic *t, const char *name, const char *id)
{
	*t = (struct topic){ 0 };
	snprintf(t->name, sizeof(t->name), "%s", name);
	memcpy(t->id, id, sizeof(t->id));
}

int topic_parse(const char *text, struct topic *ret, struct err *e)
{
	char id[UUID_SIZE];
	size_t len = cut(text, id);

	for (size_t i = 0; len && !text[len + UUID_SIZE] && i < COUNT(names); i++) {
		if (is_word(text, len, names[i])) {
			fill(ret, names[i], id);
			return 0;
		}
	}
	return err_field(e, "topic", "%s", forms);
}

void topic_text(const struct topic *t, char ret[TOPIC_TEXT_SIZE])
{
	snprintf(ret, TOPIC_TEXT_SIZE, "%s.%s", t->name, t->id);
}

bool topic_of_subject(const char *subject, struct topic *ret, char ret_event[TOPIC_EVENT_SIZE])
{
	const char *kind = subject + strlen(PREFIX), *what;
	char id[UUID_SIZE];
	size_t len;

	if (strncmp(subject, PREFIX, strlen(PREFIX)) != 0)
		return false;
	len = cut(kind, id);
	if (!len || kind[len + UUID_SIZE] != '.')
		return false;
	what = kind + len + UUID_SIZE + 1;
	if (!what[0] || strlen(what) > 32 ||
	    strspn(what, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(what))
		return false;

	for (size_t i = 0; i < COUNT(rows); i++) {
		if (is_word(kind, len, rows[i].kind)) {
			fill(ret, names[rows[i].topic], id);
			snprintf(ret_event, TOPIC_EVENT_SIZE, "%s.%s", rows[i].kind, what);
			return true;
		}
	}
	return false;
}

bool topic_is_over(const char *event)
{
	return strcmp(event, OVER_KIND "." OVER_WHAT) == 0;
}

void topic_over_subject(const struct topic *t, char ret[TOPIC_SUBJECT_SIZE])
{
	snprintf(ret, TOPIC_SUBJECT_SIZE, PREFIX OVER_KIND ".%s." OVER_WHAT, t->id);
}

bool topic_equals(const struct topic *a, const struct topic *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->id, b->id) == 0;
}

bool topic_hears(const struct topic *t, const struct topic *from, const char *event)
{
	return topic_equals(t, from) || (topic_is_over(event) && strcmp(t->id, from->id) == 0);
}

const char *topic_name(size_t i)
{
	return i < COUNT(names) ? names[i] : NULL;
}

void topic_filter(const struct topic *t, char ret[TOPIC_FILTER_SIZE])
{
	snprintf(ret, TOPIC_FILTER_SIZE, PREFIX "*.%s.*", t->id);
}
