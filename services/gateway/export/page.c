#include "export/page.h"

#include "base/json.h"

#include <sodium.h>
#include <string.h>

static int add_field(const struct wire_field *f, const cJSON *fields, const struct page *p,
                     cJSON *ask)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(fields, f->name);
	const char *cursor =
		strcmp(f->name, "cursor") == 0 ? json_text(p->data, "next_cursor") : NULL;

	if (given)
		return cJSON_AddItemToObject(ask, f->name, cJSON_Duplicate(given, true)) ? 0 : -1;
	if (cursor)
		return cJSON_AddStringToObject(ask, f->name, cursor) ? 0 : -1;
	if (f->type == WIRE_INT)
		return cJSON_AddNumberToObject(ask, f->name, (double)f->max) ? 0 : -1;
	return 0;
}

static int make_request(const struct wire_msg *m, const cJSON *fields, const struct page *p,
                        cJSON **ret, struct err *e)
{
	OWN(json) cJSON *ask = cJSON_CreateObject();

	if (!ask)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < m->field_count; i++)
		if (add_field(&m->fields[i], fields, p, ask) < 0)
			return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = TAKE(ask);
	return 0;
}

int page_ask(struct bus *b, const struct bus_ctx *ctx, enum subject_id id, const cJSON *fields,
             struct page *p, struct err *e)
{
	const struct subject *s = &subjects[id];
	OWN(arena) struct arena a;
	OWN(json) cJSON *ask = NULL;
	cJSON *data = NULL;
	void *in, *out;

	arena_init(&a, BUS_ARENA_LIMIT);
	in = arena_alloc(&a, s->in->size);
	out = arena_alloc(&a, s->out->size);
	if (!in || !out)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (make_request(s->in, fields, p, &ask, e) < 0 ||
	    wire_decode(s->in, ask, NULL, &a, in, e) < 0 ||
	    bus_call(b, id, ctx, in, &a, out, e) < 0 ||
	    wire_encode(s->out, out, NULL, &data, e) < 0)
		return -1;
	cJSON_Delete(p->data);
	p->data = data;
	p->count++;
	return 0;
}

void page_leave_out_secrets(const struct wire_msg *m, cJSON *json)
{
	for (size_t i = 0; i < m->field_count; i++) {
		const struct wire_field *f = &m->fields[i];
		cJSON *value = cJSON_GetObjectItemCaseSensitive(json, f->name), *item;

		if (f->flags & WIRE_SECRET) {
			cJSON_DeleteItemFromObjectCaseSensitive(json, f->name);
		} else if (f->type == WIRE_OBJECT && value) {
			page_leave_out_secrets(f->item, value);
		} else if (f->type == WIRE_OBJECTS) {
			cJSON_ArrayForEach(item, value)
				page_leave_out_secrets(f->item, item);
		}
	}
}

bool page_has_next(const struct page *p)
{
	return json_text(p->data, "next_cursor") != NULL;
}

int page_bytes(struct page *p, const char **ret, size_t *ret_len, struct err *e)
{
	const char *content = json_text(p->data, "content"),
		   *encoding = json_text(p->data, "encoding");
	size_t len;
	char *bytes;

	if (!content || !encoding)
		return err_set(e, ERR_INTERNAL, "a file without its content");
	*ret = content;
	*ret_len = strlen(content);
	if (strcmp(encoding, "base64") != 0)
		return 0;
	arena_done(&p->arena);
	arena_init(&p->arena, *ret_len + 1);
	len = *ret_len / 4 * 3 + 1;
	bytes = arena_alloc(&p->arena, len);
	if (!bytes || sodium_base642bin((unsigned char *)bytes, len, content, *ret_len, NULL,
	                                ret_len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return err_set(e, ERR_INTERNAL, "a file's content is no base64");
	*ret = bytes;
	return 0;
}

void page_done(struct page *p)
{
	cJSON_Delete(p->data);
	p->data = NULL;
	arena_done(&p->arena);
}
