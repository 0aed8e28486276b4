#include "wire/format.h"
#include "wire/wire.h"

#include <math.h>

/* What a message is decoded with, the same for all its parts. */
struct reader {
	const struct seal *seal;
	struct arena *arena;
};

static int message(const struct reader *r, const struct wire_msg *m, const cJSON *json, void *out,
                   struct err *e);

static long long code_points(const char *s)
{
	long long n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static int no_room(struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "message is too large");
}

static int text_fits(const struct wire_field *f, const char *s, struct err *e)
{
	long long len = code_points(s);
	const char *wrong;

	if (f->one_of) {
		for (const char *const *o = f->one_of; *o; o++)
			if (strcmp(*o, s) == 0)
				return 0;
		return err_field(e, f->name, "is not one of the allowed values");
	}
	if (len < f->min || len > f->max)
		return err_field(e, f->name, "must be %lld to %lld characters long", f->min,
		                 f->max);
	wrong = wire_format_check(f->format, s);
	return wrong ? err_field(e, f->name, "%s", wrong) : 0;
}

static int text(const struct reader *r, const struct wire_msg *m, const struct wire_field *f,
                const cJSON *v, const char **ret, struct err *e)
{
	char *copy, where[128];

	if (!cJSON_IsString(v))
		return err_field(e, f->name, "must be a string");

	if (r->seal && (f->flags & WIRE_SECRET)) {
		snprintf(where, sizeof(where), "%s.%s", m->name, f->name);
		if (seal_open(r->seal, where, v->valuestring, r->arena, &copy, e) < 0)
			return err_under(e, f->name);
	} else {
		copy = arena_strdup(r->arena, v->valuestring);
		if (!copy)
			return no_room(e);
	}
	if (text_fits(f, copy, e) < 0)
		return -1;

	*ret = copy;
	return 0;
}

static int number(const struct wire_field *f, const cJSON *v, long long *ret, struct err *e)
{
	if (!cJSON_IsNumber(v) || floor(v->valuedouble) != v->valuedouble)
		return err_field(e, f->name, "must be a whole number");
	if (v->valuedouble < (double)f->min || v->valuedouble > (double)f->max)
		return err_field(e, f->name, "must be %lld to %lld", f->min, f->max);

	*ret = (long long)v->valuedouble;
	return 0;
}

static int any_json(const struct reader *r, const struct wire_field *f, const cJSON *v,
                    const char **ret, struct err *e)
{
	OWN(json_text) char *printed = cJSON_PrintUnformatted(v);

	if (!printed)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if ((long long)strlen(printed) > f->max)
		return err_field(e, f->name, "must be at most %lld bytes of JSON", f->max);
	*ret = arena_strdup(r->arena, printed);
	return *ret ? 0 : no_room(e);
}

static int object(const struct reader *r, const struct wire_field *f, const cJSON *v, void **ret,
                  struct err *e)
{
	void *inner = arena_alloc(r->arena, f->item->size);

	if (!inner)
		return no_room(e);
	if (message(r, f->item, v, inner, e) < 0)
		return err_under(e, f->name);
	*ret = inner;
	return 0;
}

/* "items" at 3 is "items.3" */
static int under_item(struct err *e, const char *name, size_t i)
{
	char at[48];

	snprintf(at, sizeof(at), "%.24s.%zu", name, i);
	return err_under(e, at);
}

static int array(const struct reader *r, const struct wire_msg *m, const struct wire_field *f,
                 const cJSON *v, void *out, struct err *e)
{
	size_t size = f->type == WIRE_STRINGS ? sizeof(char *) : f->item->size, i = 0;
	size_t count = (size_t)cJSON_GetArraySize(v);
	const cJSON *child;
	char *items;

	if (!cJSON_IsArray(v))
		return err_field(e, f->name, "must be an array");
	if (count > f->items_max)
		return err_field(e, f->name, "must have at most %zu items", f->items_max);

	items = arena_alloc(r->arena, count ? count * size : 1);
	if (!items)
		return no_room(e);
	cJSON_ArrayForEach(child, v) {
		void *slot = items + i * size;

		if (f->type == WIRE_STRINGS ? text(r, m, f, child, slot, e) < 0
		                            : message(r, f->item, child, slot, e) < 0) {
			if (f->type == WIRE_STRINGS)
				e->field[0] = '\0';
			return under_item(e, f->name, i);
		}
		i++;
	}
	*(void **)((char *)out + f->offset) = items;
	*(size_t *)((char *)out + f->count_offset) = count;
	return 0;
}

static int field(const struct reader *r, const struct wire_msg *m, const struct wire_field *f,
                 const cJSON *v, void *out, struct err *e)
{
	void *slot = (char *)out + f->offset;

	if (cJSON_IsNull(v) && (f->flags & WIRE_NULLABLE))
		return 0;
	if (f->has_offset != WIRE_ALWAYS)
		*((bool *)((char *)out + f->has_offset)) = true;

	switch (f->type) {
	case WIRE_STRING:
		return text(r, m, f, v, slot, e);
	case WIRE_INT:
		return number(f, v, slot, e);
	case WIRE_BOOL:
		if (!cJSON_IsBool(v))
			return err_field(e, f->name, "must be true or false");
		*(bool *)slot = cJSON_IsTrue(v);
		return 0;
	case WIRE_OBJECT:
		return object(r, f, v, slot, e);
	case WIRE_STRINGS:
	case WIRE_OBJECTS:
		return array(r, m, f, v, out, e);
	case WIRE_JSON:
		return any_json(r, f, v, slot, e);
	}
	return err_set(e, ERR_INTERNAL, "field %s has no type", f->name);
}

static int message(const struct reader *r, const struct wire_msg *m, const cJSON *json, void *out,
                   struct err *e)
{
	const cJSON *v;

	if (!cJSON_IsObject(json))
		return err_field(e, "", "must be an object");

	/* Twice the same key is two readings of one message: refused, as an unknown key is. */
	cJSON_ArrayForEach(v, json) {
		if (!wire_field_find(m, v->string))
			return err_field(e, v->string, "is not a known field");
		if (cJSON_GetObjectItemCaseSensitive(json, v->string) != v)
			return err_field(e, v->string, "comes twice");
	}

	memset(out, 0, m->size);
	for (size_t i = 0; i < m->field_count; i++) {
		const struct wire_field *f = &m->fields[i];

		v = cJSON_GetObjectItemCaseSensitive(json, f->name);
		if (v && field(r, m, f, v, out, e) < 0)
			return -1;
		if (!v && (f->flags & WIRE_REQUIRED))
			return err_field(e, f->name, "is missing");
	}
	return 0;
}

int wire_decode(const struct wire_msg *m, const cJSON *json, const struct seal *seal,
                struct arena *a, void *out, struct err *e)
{
	struct reader r = { seal, a };

	return message(&r, m, json, out, e);
}
