#include "app.h"

#include "instance_store.h"
#include "memory/text.h"
#include "memory/tree.h"

#include "base/clock.h"

#define LIST_DEFAULT 50

/* Is it an instance of theirs, and one whose files will stay? */
static int check_owner(struct call *c, const char *instance_id, bool is_write, struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;
	struct instance i;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if (pg_take(app->db, &db, e) < 0 || store_load(db, c->ctx.user_id, instance_id, &i, e) < 0)
		return -1;
	if (i.desired == INSTANCE_WANT_DELETED)
		return err_set(e, ERR_CONFLICT, "the instance is being deleted");
	return is_write ? instance_files_are_free(&i, e) : 0;
}

static int to_item(const char *path, const struct memory_info *info, struct arena *a,
                   struct memory_item_view *ret, struct err *e)
{
	char when[CLOCK_TEXT_SIZE];

	ret->path = path;
	ret->size = info->size;
	ret->modified_at = arena_strdup(a, clock_text(info->modified_ms, when));
	ret->etag = info->tag[0] ? arena_strdup(a, info->tag) : NULL;
	if (!ret->modified_at || (info->tag[0] && !ret->etag))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return 0;
}

int on_memory_list(struct call *c, struct err *e)
{
	const struct memory_list_req *in = CALL_IN(c, memory_list_req);
	struct memory_list *out = CALL_OUT(c, memory_list);
	struct app *app = c->app;
	OWN(memory_place) struct memory_place place = MEMORY_PLACE_INIT;
	struct memory_page *page = arena_alloc(&c->arena, sizeof(*page));
	char after[MEMORY_PATH_MAX + 1], cursor[MEMORY_CURSOR_MAX];

	out->items = arena_alloc(&c->arena, MEMORY_PAGE_MAX * sizeof(*out->items));
	if (!page || !out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (check_owner(c, in->instance_id, false, e) < 0 ||
	    (in->cursor && memory_cursor_parse(in->cursor, after, e) < 0))
		return -1;
	page->after = in->cursor ? after : NULL;
	page->limit = in->has_limit ? (size_t)in->limit : LIST_DEFAULT;
	if (memory_place_open(app->files, c->ctx.user_id, in->instance_id, &place, e) < 0)
		return e->code == ERR_NOT_FOUND ? 0 : -1; /* never started: no files */
	if (memory_list(&place, &c->arena, page, e) < 0)
		return -1;
	for (size_t i = 0; i < page->count; i++)
		if (to_item(page->items[i].path, &page->items[i].info, &c->arena, &out->items[i],
		            e) < 0)
			return -1;
	out->items_count = page->count;
	if (!page->has_more)
		return 0;
	out->next_cursor = arena_strdup(&c->arena, memory_cursor_text(page->last, cursor));
	return out->next_cursor ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_memory_get(struct call *c, struct err *e)
{
	const struct memory_ref *in = CALL_IN(c, memory_ref);
	struct memory_file *out = CALL_OUT(c, memory_file);
	struct app *app = c->app;
	OWN(memory_place) struct memory_place place = MEMORY_PLACE_INIT;
	OWN(mem) char *data = NULL;
	struct memory_item_view item;
	struct memory_info info;
	char *text;

	if (check_owner(c, in->instance_id, false, e) < 0 || memory_path_check(in->path, e) < 0 ||
	    memory_place_open(app->files, c->ctx.user_id, in->instance_id, &place, e) < 0 ||
	    memory_read(&place, in->path, &data, &info, e) < 0 ||
	    to_item(in->path, &info, &c->arena, &item, e) < 0 ||
	    memory_text_from(data, (size_t)info.size, &c->arena, &out->content, &out->encoding, e) <
	            0)
		return -1;
	if (out->content == data) {
		text = arena_strdup(&c->arena, data);
		if (!text)
			return err_set(e, ERR_TOO_LARGE, "message is too large");
		out->content = text;
	}
	out->path = item.path;
	out->size = item.size;
	out->modified_at = item.modified_at;
	out->etag = item.etag;
	return 0;
}

static int conditions(const char *if_match, const char *if_none_match, struct memory_put *put,
                      struct err *e)
{
	if (if_none_match && strcmp(if_none_match, MEMORY_ANY) != 0)
		return err_field(e, "if_none_match", "can only be *");
	if (if_match && if_none_match)
		return err_field(e, "if_match", "cannot stand beside if_none_match");
	put->if_match = if_match;
	put->is_new = if_none_match != NULL;
	return 0;
}

int on_memory_put(struct call *c, struct err *e)
{
	const struct memory_put_req *in = CALL_IN(c, memory_put_req);
	struct memory_item_view *out = CALL_OUT(c, memory_item_view);
	struct app *app = c->app;
	OWN(memory_place) struct memory_place place = MEMORY_PLACE_INIT;
	struct memory_put put = { 0 };
	struct memory_info info;

	if (check_owner(c, in->instance_id, true, e) < 0 || memory_path_check(in->path, e) < 0 ||
	    conditions(in->if_match, in->if_none_match, &put, e) < 0 ||
	    memory_text_to(in->content, in->encoding, &c->arena, &put.data, &put.len, e) < 0 ||
	    memory_place_lock(app->files, c->ctx.user_id, in->instance_id, &place, e) < 0 ||
	    memory_write(&place, in->path, &put, &info, e) < 0)
		return -1;
	return to_item(in->path, &info, &c->arena, out, e);
}

int on_memory_delete(struct call *c, struct err *e)
{
	const struct memory_delete_req *in = CALL_IN(c, memory_delete_req);
	struct app *app = c->app;
	OWN(memory_place) struct memory_place place = MEMORY_PLACE_INIT;

	if (check_owner(c, in->instance_id, true, e) < 0 || memory_path_check(in->path, e) < 0 ||
	    memory_place_lock(app->files, c->ctx.user_id, in->instance_id, &place, e) < 0)
		return -1;
	return memory_remove(&place, in->path, in->if_match, e);
}
