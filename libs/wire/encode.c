#include "base/json.h"
#include "wire/wire.h"

#define SEALED_LIMIT ((size_t)4 << 20) /* bytes that the secrets of one message may take */

/* What a message is written with, the same for all its parts. */
struct writer {
	const struct seal *seal;
	struct arena *arena; /* for sealed texts on their way into the tree */
};

static int message(const struct writer *w, const struct wire_msg *m, const void *in, cJSON **ret,
                   struct err *e);

static bool is_present(const struct wire_field *f, const void *in)
{
	if (f->type != WIRE_INT && f->type != WIRE_BOOL)
		return *(const void *const *)((const char *)in + f->offset) != NULL;
	return f->has_offset == WIRE_ALWAYS || *(const bool *)((const char *)in + f->has_offset);
}

static int text(const struct writer *w, const struct wire_msg *m, const struct wire_field *f,
                const char *s, cJSON **ret, struct err *e)
{
	char where[128], *sealed = NULL;

	if (w->seal && (f->flags & WIRE_SECRET)) {
		snprintf(where, sizeof(where), "%s.%s", m->name, f->name);
		if (seal_close(w->seal, where, s, w->arena, &sealed, e) < 0)
			return -1;
		s = sealed;
	}
	*ret = cJSON_CreateString(s);
	return 0;
}

static int array(const struct writer *w, const struct wire_msg *m, const struct wire_field *f,
                 const void *in, cJSON **ret, struct err *e)
{
	const char *items = *(const char *const *)((const char *)in + f->offset);
	size_t count = *(const size_t *)((const char *)in + f->count_offset);
	OWN(json) cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < count; i++) {
		cJSON *item = NULL;
		int r;

		if (f->type == WIRE_STRINGS)
			r = text(w, m, f, ((const char *const *)(const void *)items)[i], &item, e);
		else
			r = message(w, f->item, items + i * f->item->size, &item, e);
		if (r < 0)
			return -1;
		if (!cJSON_AddItemToArray(list, item)) {
			cJSON_Delete(item);
			return err_set(e, ERR_INTERNAL, "out of memory");
		}
	}
	*ret = TAKE(list);
	return 0;
}

static int field(const struct writer *w, const struct wire_msg *m, const struct wire_field *f,
                 const void *in, cJSON **ret, struct err *e)
{
	const void *slot = (const char *)in + f->offset;

	switch (f->type) {
	case WIRE_STRING:
		return text(w, m, f, *(const char *const *)slot, ret, e);
	case WIRE_INT:
		*ret = cJSON_CreateNumber((double)*(const long long *)slot);
		return 0;
	case WIRE_BOOL:
		*ret = cJSON_CreateBool(*(const bool *)slot);
		return 0;
	case WIRE_OBJECT:
		return message(w, f->item, *(const void *const *)slot, ret, e);
	case WIRE_STRINGS:
	case WIRE_OBJECTS:
		return array(w, m, f, in, ret, e);
	case WIRE_JSON:
		*ret = cJSON_CreateRaw(*(const char *const *)slot);
		return 0;
	}
	return err_set(e, ERR_INTERNAL, "%s.%s has no type", m->name, f->name);
}

static int message(const struct writer *w, const struct wire_msg *m, const void *in, cJSON **ret,
                   struct err *e)
{
	OWN(json) cJSON *json = cJSON_CreateObject();

	for (size_t i = 0; i < m->field_count; i++) {
		const struct wire_field *f = &m->fields[i];
		cJSON *value = NULL;

		if (is_present(f, in)) {
			if (field(w, m, f, in, &value, e) < 0)
				return -1;
		} else if (f->flags & WIRE_NULLABLE) {
			value = cJSON_CreateNull();
		} else if (f->flags & WIRE_REQUIRED) {
			return err_set(e, ERR_INTERNAL, "%s.%s was left empty", m->name, f->name);
		} else {
			continue;
		}
		/* The names are the generated tables' constants: no copy of them is needed. */
		if (!value || !cJSON_AddItemToObjectCS(json, f->name, value)) {
			cJSON_Delete(value);
			return err_set(e, ERR_INTERNAL, "out of memory");
		}
	}

	*ret = TAKE(json);
	return 0;
}

int wire_encode(const struct wire_msg *m, const void *in, const struct seal *seal, cJSON **ret,
                struct err *e)
{
	OWN(arena) struct arena sealed = { .limit = SEALED_LIMIT };
	struct writer w = { seal, &sealed };

	return message(&w, m, in, ret, e);
}
