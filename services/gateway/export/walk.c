#include "export/walk.h"

#include "base/clock.h"
#include "base/json.h"
#include "export/name.h"
#include "export/page.h"

const struct walk_part walk_parts[] = {
#define PART(of, file, subject, how) { OF_##of, file, SUBJ_##subject, HOW_##how },
#define EACH(of, each, subject, item, becomes, if_has)
#include "export/export.def"
#undef PART
#undef EACH
};

const struct walk_each walk_eaches[] = {
#define PART(of, file, subject, how)
#define EACH(of, each, subject, item, becomes, if_has) \
	{ OF_##of, OF_##each, SUBJ_##subject, item, becomes, if_has },
#include "export/export.def"
#undef PART
#undef EACH
};

const size_t walk_part_count = COUNT(walk_parts);
const size_t walk_each_count = COUNT(walk_eaches);

static const char about[] =
	"What this platform holds of the account. missing: what could not be had now, and why; "
	"asking "
	"again later may give it. Workspace files of more than 1 MiB, hidden files and an "
	"assistant's "
	"own databases are in its backups: restore one, or read its files by /backups/{id}/files.";

/* false: out of memory, and the zip cannot say any more what it lacks. */
static bool leave_out(struct walk *w, const char *name, const struct err *why)
{
	cJSON *one;

	if (++w->left_out > WALK_MISSING_MAX)
		return true;
	one = cJSON_CreateObject();
	if (one && cJSON_AddStringToObject(one, "file", name) &&
	    cJSON_AddStringToObject(one, "code", err_name(why->code)) &&
	    cJSON_AddStringToObject(one, "message", err_public(why)) &&
	    cJSON_AddItemToArray(w->missing, one))
		return true;
	cJSON_Delete(one);
	return false;
}

/* What has failed is one file's trouble unless the zip itself cannot go on: then -1. */
static int got_over(struct walk *w, const char *name, struct err *e)
{
	struct err why = *e;

	if (w->is_over)
		return -1;
	*e = ERR_INIT;
	return leave_out(w, name, &why) ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static int begin(struct walk *w, const char *name, struct err *e)
{
	if (zip_begin(w->zip, name, e) == 0) {
		w->files++;
		return 0;
	}
	w->is_over = true;
	return -1;
}

static int put(struct walk *w, const void *data, size_t len, struct err *e)
{
	if (zip_write(w->zip, data, len, e) == 0)
		return 0;
	w->is_over = true;
	return -1;
}

static int put_text(struct walk *w, const char *text, struct err *e)
{
	return put(w, text, strlen(text), e);
}

static int put_json(struct walk *w, const cJSON *json, struct err *e)
{
	OWN(json_text) char *text = cJSON_PrintUnformatted(json);

	return text ? put_text(w, text, e) : err_set(e, ERR_INTERNAL, "out of memory");
}

/* The items of one page, after those that are there already. */
static int put_items(struct walk *w, const cJSON *page, bool *is_first, struct err *e)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(page, "items")) {
		if (put_text(w, *is_first ? "\n" : ",\n", e) < 0 || put_json(w, item, e) < 0)
			return -1;
		*is_first = false;
	}
	return 0;
}

/* Whatever else a page says (live, as_of …), as the last one has it. */
static int put_rest(struct walk *w, const cJSON *page, struct err *e)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, page) {
		if (strcmp(member->string, "items") == 0 ||
		    strcmp(member->string, "next_cursor") == 0)
			continue;
		if (put_text(w, ",\n\"", e) < 0 || put_text(w, member->string, e) < 0 ||
		    put_text(w, "\":", e) < 0 || put_json(w, member, e) < 0)
			return -1;
	}
	return put_text(w, "}\n", e);
}

/* What goes into a file of JSON. */
static int ask(struct walk *w, const struct walk_part *p, const cJSON *fields, struct page *page,
               struct err *e)
{
	if (page_ask(w->bus, w->ctx, p->subject, fields, page, e) < 0)
		return -1;
	page_leave_out_secrets(subjects[p->subject].out, page->data);
	return 0;
}

/* One list as one file. A page that fails leaves a file that is JSON, holds those before it, and is
 * named in the manifest. */
static int put_pages(struct walk *w, const struct walk_part *p, const char *name,
                     const cJSON *fields, struct err *e)
{
	OWN(page) struct page page = PAGE_INIT;
	struct err why = ERR_INIT;
	bool is_first = true;
	int r = ask(w, p, fields, &page, e);

	if (r < 0 || begin(w, name, e) < 0 || put_text(w, "{\"items\":[", e) < 0)
		return -1;
	while (r == 0) {
		if (put_items(w, page.data, &is_first, e) < 0)
			return -1;
		if (!page_has_next(&page))
			break;
		r = page.count >= WALK_PAGES_MAX || clock_mono_ms() > w->end_ms
		            ? err_set(&why, ERR_TIMEOUT, "the list is too long")
		            : ask(w, p, fields, &page, &why);
	}
	if (put_text(w, "]", e) < 0 || put_rest(w, page.data, e) < 0)
		return -1;
	if (r < 0)
		*e = why;
	return r;
}

static int put_one(struct walk *w, const struct walk_part *p, const char *name, const cJSON *fields,
                   struct err *e)
{
	OWN(page) struct page page = PAGE_INIT;

	if (ask(w, p, fields, &page, e) < 0 || begin(w, name, e) < 0 ||
	    put_json(w, page.data, e) < 0)
		return -1;
	return put_text(w, "\n", e);
}

static int put_bytes(struct walk *w, const struct walk_part *p, const char *name,
                     const cJSON *fields, struct err *e)
{
	OWN(page) struct page page = PAGE_INIT;
	const char *bytes;
	size_t len;

	if (page_ask(w->bus, w->ctx, p->subject, fields, &page, e) < 0 ||
	    page_bytes(&page, &bytes, &len, e) < 0 || begin(w, name, e) < 0)
		return -1;
	return put(w, bytes, len, e);
}

static int put_part(struct walk *w, const struct walk_part *p, const char *name,
                    const cJSON *fields, struct err *e)
{
	if (clock_mono_ms() > w->end_ms)
		return err_set(e, ERR_TIMEOUT, "the export took too long");
	if (w->files >= WALK_FILES_MAX)
		return err_set(e, ERR_TOO_LARGE, "an export has at most %d files", WALK_FILES_MAX);
	switch (p->how) {
	case HOW_ONE:
		return put_one(w, p, name, fields, e);
	case HOW_PAGES:
		return put_pages(w, p, name, fields, e);
	case HOW_BYTES:
		return put_bytes(w, p, name, fields, e);
	}
	return err_set(e, ERR_INTERNAL, "no such kind of file");
}

static int put_parts(struct walk *w, enum walk_of of, const cJSON *fields, struct err *e)
{
	for (size_t i = 0; i < walk_part_count; i++) {
		const struct walk_part *p = &walk_parts[i];
		char name[NAME_SIZE] = "";

		if (p->of != of)
			continue;
		if (w->may_go_on && w->may_go_on(w->closure, e) < 0) {
			w->is_over = true;
			return -1;
		}
		if ((name_make(p->file, fields, name, e) < 0 ||
		     put_part(w, p, name, fields, e) < 0) &&
		    got_over(w, name[0] ? name : p->file, e) < 0)
			return -1;
	}
	return 0;
}

static int go(struct walk *w, enum walk_of of, const cJSON *fields, struct err *e);

static int go_into(struct walk *w, const struct walk_each *each, const cJSON *item,
                   const cJSON *fields, struct err *e)
{
	static const struct err too_long = { .code = ERR_TOO_LARGE,
		                             .msg = "longer than 1 MiB: it is in the backups" };
	const char *value = json_text(item, each->item);
	OWN(json) cJSON *inner = cJSON_Duplicate(fields, true);

	if (!inner || !value || !cJSON_AddStringToObject(inner, each->becomes, value))
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (json_text(item, each->if_has))
		return go(w, each->each, inner, e);
	return leave_out(w, value, &too_long) ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

/* The list is asked a second time, after the file that has it: of neither more than a page is kept. */
static int go_through(struct walk *w, const struct walk_each *each, const cJSON *fields,
                      struct err *e)
{
	OWN(page) struct page page = PAGE_INIT;
	const cJSON *item;

	do {
		if (clock_mono_ms() > w->end_ms || page.count >= WALK_PAGES_MAX)
			return err_set(e, ERR_TIMEOUT, "the export took too long");
		if (page_ask(w->bus, w->ctx, each->subject, fields, &page, e) < 0)
			return -1;
		cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(page.data, "items")) {
			if (go_into(w, each, item, fields, e) < 0)
				return -1;
		}
	} while (page_has_next(&page));
	return 0;
}

/* How the manifest calls a list that could not be gone through: as the file that has it. */
static const char *file_of(const struct walk_each *each)
{
	for (size_t i = 0; i < walk_part_count; i++)
		if (walk_parts[i].of == each->of && walk_parts[i].subject == each->subject)
			return walk_parts[i].file;
	return "";
}

static int go_each(struct walk *w, const struct walk_each *each, const cJSON *fields, struct err *e)
{
	char name[NAME_SIZE] = "";
	struct err odd = ERR_INIT;

	if (go_through(w, each, fields, e) == 0)
		return 0;
	(void)name_make(file_of(each), fields, name, &odd);
	return got_over(w, name, e);
}

/* All that there is of one account, assistant, conversation or file; as deep as the enumeration. */
static int go(struct walk *w, enum walk_of of, const cJSON *fields, struct err *e)
{
	if (put_parts(w, of, fields, e) < 0)
		return -1;
	for (size_t i = 0; i < walk_each_count; i++)
		if (walk_eaches[i].of == of && go_each(w, &walk_eaches[i], fields, e) < 0)
			return -1;
	return 0;
}

static int put_manifest(struct walk *w, struct err *e)
{
	OWN(json) cJSON *all = cJSON_CreateObject();
	char now[CLOCK_TEXT_SIZE];

	clock_text(clock_now_ms(), now);
	if (!all || !cJSON_AddStringToObject(all, "about", about) ||
	    !cJSON_AddStringToObject(all, "user_id", w->ctx->user_id) ||
	    !cJSON_AddStringToObject(all, "exported_at", now) ||
	    !cJSON_AddStringToObject(all, "trace_id", w->ctx->trace_id) ||
	    !cJSON_AddBoolToObject(all, "is_complete", w->left_out == 0) ||
	    !cJSON_AddNumberToObject(all, "files", (double)w->files) ||
	    !cJSON_AddNumberToObject(all, "left_out", (double)w->left_out) ||
	    !cJSON_AddItemReferenceToObject(all, "missing", w->missing))
		return err_set(e, ERR_INTERNAL, "out of memory");
	return begin(w, "manifest.json", e) < 0 ? -1 : put_json(w, all, e);
}

int walk_account(struct walk *w, struct err *e)
{
	OWN(json) cJSON *fields = cJSON_CreateObject();

	w->missing = cJSON_CreateArray();
	w->end_ms = clock_mono_ms() + WALK_S * 1000LL;
	if (!fields || !w->missing)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (go(w, OF_ACCOUNT, fields, e) < 0 || put_manifest(w, e) < 0)
		return -1;
	return zip_finish(w->zip, e);
}

void walk_done(struct walk *w)
{
	cJSON_Delete(w->missing);
	w->missing = NULL;
}
