#include "app.h"

#include "backup.h"
#include "live.h"
#include "path_text.h"
#include "text_diff.h"

#include <sodium.h>

/* What is in backups. They read manifests from the store, so they have a pool of their own. */

#define FILES_DEFAULT 100
#define PAGE_BYTES    ((size_t)512 << 10) /* of paths, a page */
#define TEXT_MAX      ((size_t)256 << 10)
#define CHANGES_MAX   200

#define ENCODING sodium_base64_VARIANT_URLSAFE_NO_PADDING

static int load(const struct call *c, const char *backup_id, struct backup *ret, struct err *e)
{
	struct app *app = c->app;
	OWN(pg_conn) struct pg_conn *db = NULL;

	if (!c->ctx.user_id[0])
		return err_set(e, ERR_UNAUTHENTICATED, "sign in first");
	if (pg_take(app->db, &db, e) < 0 || backup_load(db, c->ctx.user_id, backup_id, ret, e) < 0)
		return -1;
	return ret->is_stored ? 0
	                      : err_set(e, ERR_CONFLICT,
	                                "this backup is %s: nothing of it can be "
	                                "read",
	                                ret->status);
}

static const char *type_name(char type)
{
	return type == 'd' ? "directory" : type == 'l' ? "link" : "file";
}

/* ---- the files --------------------------------------------------------------------------------- */

struct files_page {
	struct arena *a;
	struct backup_files *out;
	const char *after; /* "": from the start */
	size_t limit, bytes;
	char *last; /* the path of the last item */
	bool is_more, is_short;
};

/* '/' sorts before every other byte (engine.h). */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static bool on_entry(void *ctx, const struct engine_entry *entry)
{
	struct files_page *p = ctx;
	struct backup_file *f = &p->out->items[p->out->items_count];

	if (p->after[0] && compare_paths(entry->path, p->after) <= 0)
		return true;
	p->bytes += strlen(entry->path);
	if (p->out->items_count == p->limit || p->bytes > PAGE_BYTES) {
		p->is_more = true;
		return false;
	}
	f->path = path_text(p->a, entry->path, &f->is_exact);
	f->type = type_name(entry->type);
	f->size = entry->size;
	f->mode = entry->mode & 07777;
	f->modified_at = backup_time(p->a, entry->mtime_ms);
	p->last = arena_strdup(p->a, entry->path);
	p->is_short |= !f->path || !f->modified_at || !p->last;
	p->out->items_count++;
	return !p->is_short;
}

static int cursor_open(const char *text, struct arena *a, const char **ret, struct err *e)
{
	size_t len = strlen(text), got = 0;
	char *path = arena_alloc(a, len + 1);

	if (!path)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (sodium_base642bin((unsigned char *)path, len, text, len, NULL, &got, NULL, ENCODING) !=
	            0 ||
	    got == 0 || strlen(path) != got)
		return err_field(e, "cursor", "is not a cursor of this list");
	*ret = path;
	return 0;
}

static int cursor_make(const char *path, struct arena *a, const char **ret, struct err *e)
{
	size_t len = strlen(path), size = sodium_base64_ENCODED_LEN(len, ENCODING);
	char *text = arena_alloc(a, size);

	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = sodium_bin2base64(text, size, (const unsigned char *)path, len, ENCODING);
	return 0;
}

int on_backup_files(struct call *c, struct err *e)
{
	const struct backup_files_req *in = CALL_IN(c, backup_files_req);
	struct backup_files *out = CALL_OUT(c, backup_files);
	struct app *app = c->app;
	struct files_page page = { .a = &c->arena, .out = out, .after = "" };
	struct engine_ref ref;
	struct backup b;

	if ((in->under && path_check(in->under, "under", e) < 0) ||
	    (in->cursor && cursor_open(in->cursor, &c->arena, &page.after, e) < 0) ||
	    load(c, in->backup_id, &b, e) < 0)
		return -1;
	page.limit = in->has_limit ? (size_t)in->limit : FILES_DEFAULT;
	out->items = arena_alloc(&c->arena, (page.limit + 1) * sizeof(*out->items));
	if (!out->items)
		return err_set(e, ERR_INTERNAL, "out of memory");
	ref = (struct engine_ref){ b.user_id, b.instance_id, b.id };
	if (engine_list(app->engine, &ref, in->under ? in->under : "", on_entry, &page, e) < 0)
		return -1;
	if (page.is_short)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return page.is_more && page.last ? cursor_make(page.last, &c->arena, &out->next_cursor, e)
	                                 : 0;
}

/* ---- one file's text --------------------------------------------------------------------------- */

/* The caller frees *ret. */
static int read_text(struct app *app, const struct backup *b, const char *path, char **ret,
                     size_t *ret_len, struct err *e)
{
	const struct engine_ref ref = { b->user_id, b->instance_id, b->id };
	OWN(mem) char *text = NULL;
	size_t len = 0;

	if (engine_read(app->engine, &ref, path, TEXT_MAX, &text, &len, e) < 0)
		return -1;
	if (!text_is_plain(text, len))
		return err_field(e, "path", "is not a text file");
	*ret = TAKE(text);
	*ret_len = len;
	return 0;
}

static bool on_one(void *ctx, const struct engine_entry *entry)
{
	long long *mtime_ms = ctx;

	*mtime_ms = entry->mtime_ms;
	return false;
}

int on_backup_file(struct call *c, struct err *e)
{
	const struct backup_file_req *in = CALL_IN(c, backup_file_req);
	struct backup_text *out = CALL_OUT(c, backup_text);
	struct app *app = c->app;
	OWN(mem) char *text = NULL;
	long long mtime_ms = 0;
	struct backup b;
	size_t len = 0;

	if (load(c, in->backup_id, &b, e) < 0 || path_check(in->path, "path", e) < 0 ||
	    read_text(app, &b, in->path, &text, &len, e) < 0 ||
	    engine_list(app->engine, &(struct engine_ref){ b.user_id, b.instance_id, b.id },
	                in->path, on_one, &mtime_ms, e) < 0)
		return -1;
	out->backup_id = in->backup_id;
	out->path = in->path;
	out->size = (long long)len;
	out->modified_at = backup_time(&c->arena, mtime_ms);
	out->text = arena_strdup(&c->arena, text);
	return out->text && out->modified_at ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* ---- what a restore would change --------------------------------------------------------------- */

struct changes {
	struct arena *a;
	struct backup_diff *out;
	bool is_short;
};

/* Of going from now to the backup: the engine's first is the backup, its second what is there now. */
static bool on_change(void *ctx, const struct engine_change *change)
{
	struct changes *to = ctx;
	const struct engine_entry *in_backup = change->before, *now = change->after;
	const struct engine_entry *shown = in_backup ? in_backup : now;
	struct backup_change *c = &to->out->items[to->out->items_count];
	bool is_exact;

	to->out->added += change->kind == '-';
	to->out->removed += change->kind == '+';
	to->out->changed += change->kind == '~';
	if (to->out->items_count == CHANGES_MAX) {
		to->out->is_cut = true;
		return true;
	}
	c->path = path_text(to->a, shown->path, &is_exact);
	c->change = change->kind == '-' ? "added" : change->kind == '+' ? "removed" : "changed";
	c->type = type_name(shown->type);
	c->has_size_before = now && now->type == 'f';
	c->size_before = c->has_size_before ? now->size : 0;
	c->has_size_after = in_backup && in_backup->type == 'f';
	c->size_after = c->has_size_after ? in_backup->size : 0;
	to->is_short |= !c->path;
	to->out->items_count++;
	return !to->is_short;
}

/* The lines of one text file; both must be texts. live: as instance-manager's neighbour on the disk. */
static int lines_of(struct call *c, const struct backup *b, const char *path, const char *now,
                    struct err *e)
{
	struct backup_diff *out = CALL_OUT(c, backup_diff);
	OWN(mem) char *then = NULL;
	OWN(mem) char *diff = NULL;
	size_t len;

	if (read_text(c->app, b, path, &then, &len, e) < 0) {
		if (e->code != ERR_NOT_FOUND)
			return -1;
		*e = ERR_INIT;
	}
	if (text_diff(now, then ? then : "", &diff, e) < 0)
		return -1;
	if (strlen(diff) > TEXT_MAX)
		return err_set(e, ERR_TOO_LARGE, "the difference is too large");
	out->text_diff = arena_strdup(&c->arena, diff);
	return out->text_diff ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int on_backup_diff(struct call *c, struct err *e)
{
	const struct backup_diff_req *in = CALL_IN(c, backup_diff_req);
	struct backup_diff *out = CALL_OUT(c, backup_diff);
	struct app *app = c->app;
	struct changes to = { &c->arena, out, false };
	struct engine_diff_req req = { .on_change = on_change, .ctx = &to };
	OWN(mem) char *now = NULL;
	struct backup b;
	int live;

	if ((in->path && path_check(in->path, "path", e) < 0) || load(c, in->backup_id, &b, e) < 0)
		return -1;
	out->backup_id = in->backup_id;
	out->items = arena_alloc(&c->arena, (CHANGES_MAX + 1) * sizeof(*out->items));
	req.ref = (struct engine_ref){ b.user_id, b.instance_id, b.id };
	req.with_dir = arena_printf(&c->arena, "%s/%s/%s", app->data_dir, b.user_id, b.instance_id);
	req.under = in->path ? in->path : "";
	if (!out->items || !req.with_dir)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (engine_diff(app->engine, &req, e) < 0)
		return -1;
	if (to.is_short)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (!in->path)
		return 0;
	live = live_text(req.with_dir, in->path, TEXT_MAX, &now, e);
	if (live < 0)
		return -1;
	return live > 0 ? lines_of(c, &b, in->path, now, e) : 0;
}
