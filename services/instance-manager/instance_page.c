#include "instance_page.h"

int instance_page_init(struct instance_page *p, const char *cursor, long long limit, struct err *e)
{
	*p = (struct instance_page){ .is_first = !cursor, .limit = limit };
	return cursor ? cursor_parse(cursor, &p->after, e) : 0;
}

void instance_page_params(const struct instance_page *p, struct params *to)
{
	if (p->is_first) {
		params_text(to, NULL);
		params_text(to, NULL);
	} else {
		params_int(to, p->after.created_us);
		params_text(to, p->after.id);
	}
	params_int(to, p->limit + 1);
}

int instance_page_fill(struct instance_page *p, const PGresult *res, struct arena *a, struct err *e)
{
	size_t found = (size_t)PQntuples(res);
	bool has_more = found > (size_t)p->limit;
	struct cursor last;
	char text[CURSOR_SIZE];

	p->count = has_more ? (size_t)p->limit : found;
	p->list = arena_alloc(a, (p->count + 1) * sizeof(*p->list));
	if (!p->list)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < p->count; i++)
		if (instance_from_row(res, (int)i, &p->list[i], e) < 0)
			return -1;
	if (!has_more)
		return 0;
	last = (struct cursor){ .created_us = p->list[p->count - 1].created_us };
	snprintf(last.id, sizeof(last.id), "%s", p->list[p->count - 1].id);
	p->next_cursor = arena_strdup(a, cursor_text(&last, text));
	return p->next_cursor ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
