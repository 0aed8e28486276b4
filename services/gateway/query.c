#include "query.h"

#include "base/own.h"
#include "percent.h"

#include <errno.h>

#define NAME_SIZE  64
#define VALUE_SIZE 2049
#define DIGITS_MAX 17 /* past 2^53 nothing is exact */
#define PAIRS_MAX  32

/* One "name=value" of a query string, its end left out; moves *s past it. false at the end. */
struct pair {
	const char *name, *value;
	size_t name_len, value_len;
};

static bool pair_next(const char **s, struct pair *ret)
{
	size_t len, name_len;

	while (**s == '&')
		(*s)++;
	len = strcspn(*s, "&");
	if (len == 0)
		return false;
	name_len = strcspn(*s, "=&");
	*ret = (struct pair){
		.name = *s,
		.name_len = name_len,
		.value = *s + name_len + (name_len < len),
		.value_len = len - name_len - (name_len < len),
	};
	*s += len;
	return true;
}

static int put_number(const struct wire_field *f, const char *text, cJSON *fields, struct err *e)
{
	char *end = NULL;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || strlen(text) > DIGITS_MAX || !strchr("-0123456789", text[0]) ||
	    !text[0])
		return err_field(e, f->name, "must be a whole number");
	cJSON_AddNumberToObject(fields, f->name, (double)value);
	return 0;
}

static int put(const struct wire_field *f, const char *text, cJSON *fields, struct err *e)
{
	switch (f->type) {
	case WIRE_INT:
		return put_number(f, text, fields, e);
	case WIRE_BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			return err_field(e, f->name, "must be true or false");
		cJSON_AddBoolToObject(fields, f->name, text[0] == 't');
		return 0;
	case WIRE_STRING:
		cJSON_AddStringToObject(fields, f->name, text);
		return 0;
	case WIRE_OBJECT:
	case WIRE_STRINGS:
	case WIRE_OBJECTS:
	case WIRE_JSON:
		break;
	}
	return err_field(e, f->name, "cannot be given as a query parameter");
}

int query_add_fields(const char *query, const struct wire_msg *m, cJSON *fields, struct err *e)
{
	const char *s = query ? query : "";
	char name[NAME_SIZE], value[VALUE_SIZE];
	struct pair p;

	for (size_t n = 0; pair_next(&s, &p); n++) {
		const struct wire_field *f;

		if (n == PAIRS_MAX)
			return err_field(e, "", "more than %d query parameters", PAIRS_MAX);
		if (!percent_decode(p.name, p.name_len, true, name, sizeof(name)))
			return err_field(e, "", "a query parameter's name is not well-formed");
		f = wire_field_find(m, name);
		if (!f)
			return err_field(e, name, "is not a known query parameter");
		if (cJSON_GetObjectItemCaseSensitive(fields, name))
			return err_field(e, name, "comes twice");
		if (!percent_decode(p.value, p.value_len, true, value, sizeof(value)))
			return err_field(e, name, "is not well-formed or too long");
		if (put(f, value, fields, e) < 0)
			return -1;
	}
	return 0;
}

bool query_find(const char *query, const char *name, char *out, size_t size)
{
	const char *s = query ? query : "";
	char got[NAME_SIZE];
	struct pair p;
	int found = 0;

	while (pair_next(&s, &p)) {
		if (!percent_decode(p.name, p.name_len, true, got, sizeof(got)) ||
		    strcmp(got, name) != 0)
			continue;
		if (found++ > 0 || !percent_decode(p.value, p.value_len, true, out, size))
			return false;
	}
	return found == 1;
}
