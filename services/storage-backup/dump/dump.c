#include "dump/dump.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "engine/internal.h"
#include "format/mem.h"

#include <sodium.h>

#define ROOT      "dumps/"
#define ERASED    "erased/"
#define NAME_SIZE 128

static int at_object(struct err *e, const char *name)
{
	return e->code == ERR_FORBIDDEN || strstr(e->msg, name) ? -1 : object_error(e, name);
}

void dump_id_make(long long unix_ms, char ret[DUMP_ID_SIZE])
{
	char when[CLOCK_TEXT_SIZE];
	size_t len = 0;

	/* 2026-11-28T06:30:00.000Z without what stands between. */
	clock_text(unix_ms, when);
	for (const char *p = when; *p && *p != '.'; p++)
		if (*p != '-' && *p != ':')
			ret[len++] = *p;
	ret[len++] = 'Z';
	ret[len++] = '-';
	random_hex(8, ret + len);
}

bool dump_id_is_valid(const char *id)
{
	static const char form[] = "nnnnnnnnTnnnnnnZ-hhhhhhhhhhhhhhhh";

	for (size_t i = 0; form[i]; i++) {
		bool is_digit = id[i] >= '0' && id[i] <= '9';

		if (form[i] == 'n'   ? !is_digit
		    : form[i] == 'h' ? !is_digit && !(id[i] >= 'a' && id[i] <= 'f')
		                     : id[i] != form[i])
			return false;
	}
	return id[sizeof(form) - 1] == '\0';
}

int dump_read_head(struct engine *en, const char *id, struct dump_head *ret, struct err *e)
{
	char name[NAME_SIZE];
	OWN(mem) char *text = NULL;
	size_t len = 0;

	snprintf(name, sizeof(name), ROOT "%s/head", id);
	if (engine_blob_get(en, name, &text, &len, e) < 0 ||
	    dump_head_decode(text, len, ret, e) < 0)
		return at_object(e, name);
	return 0;
}

int dump_read_part(struct engine *en, const char *id, const struct dump_head *h, size_t number,
                   char **ret, struct err *e)
{
	const struct dump_part *part = &h->parts[number];
	unsigned char hash[sizeof(part->hash)];
	char name[NAME_SIZE];
	OWN(mem) char *text = NULL;
	size_t len = 0;

	snprintf(name, sizeof(name), ROOT "%s/%06zu", id, number);
	if (engine_blob_get(en, name, &text, &len, e) < 0) {
		/* A head without all of its parts is a damaged dump, not one that is not there. */
		if (e->code == ERR_NOT_FOUND)
			err_set(e, ERR_UPSTREAM, "is missing");
		return at_object(e, name);
	}
	crypto_generichash(hash, sizeof(hash), (unsigned char *)text, len, NULL, 0);
	if (len != part->len || memcmp(hash, part->hash, sizeof(hash)) != 0) {
		err_set(e, ERR_UPSTREAM, "is not what the dump's head says");
		return at_object(e, name);
	}
	*ret = TAKE(text);
	return 0;
}

int dump_check(struct engine *en, const char *id, const struct dump_watch *w,
               struct dump_totals *ret, struct err *e)
{
	OWN(dump_head) struct dump_head h = { 0 };
	struct dump_totals t = { 0 };

	if (dump_read_head(en, id, &h, e) < 0)
		return -1;
	for (size_t i = 0; i < h.part_count; i++) {
		OWN(mem) char *text = NULL;

		if (w && w->go_on && !w->go_on(w->ctx))
			return err_set(e, ERR_CONFLICT, "told to stop");
		if (dump_read_part(en, id, &h, i, &text, e) < 0)
			return -1;
		t.rows += (long long)h.parts[i].rows;
		t.bytes += (long long)h.parts[i].len;
	}
	*ret = t;
	return 0;
}

/* ---- what there is ------------------------------------------------------------------------------ */

struct lister {
	struct dump_list list;
	bool is_full; /* no memory */
};

static bool on_blob(void *ctx, const char *name, long long size)
{
	struct lister *l = ctx;
	struct dump_list *list = &l->list;
	const char *at = name + strlen(ROOT);
	char id[DUMP_ID_SIZE];

	snprintf(id, sizeof(id), "%s", at);
	if (!dump_id_is_valid(id) || at[DUMP_ID_SIZE - 1] != '/')
		return true; /* none of ours */
	if (!list->count || strcmp(list->found[list->count - 1].id, id) != 0) {
		if (list->count == list->size) {
			size_t more = list->size ? 2 * list->size : 64;
			struct dump_found *found = realloc(list->found, more * sizeof(*found));

			if (!found) {
				l->is_full = true;
				return false;
			}
			list->found = found;
			list->size = more;
		}
		list->found[list->count] = (struct dump_found){ .is_whole = false };
		memcpy(list->found[list->count++].id, id, sizeof(id));
	}
	list->found[list->count - 1].bytes_stored += size;
	if (strcmp(at + DUMP_ID_SIZE, "head") == 0)
		list->found[list->count - 1].is_whole = true;
	return true;
}

int dump_list(struct engine *en, struct dump_list *ret, struct err *e)
{
	struct lister l = { .is_full = false };

	if (engine_blobs(en, ROOT, on_blob, &l, e) < 0 || l.is_full) {
		dump_list_done(&l.list);
		return l.is_full ? err_set(e, ERR_INTERNAL, "out of memory") : -1;
	}
	*ret = l.list;
	return 0;
}

void dump_list_done(struct dump_list *l)
{
	free(TAKE(l->found));
	l->count = l->size = 0;
}

/* ---- deleting ----------------------------------------------------------------------------------- */

struct names {
	char (*names)[NAME_SIZE];
	size_t count;
};

#define NAMES_AT_ONCE 256

static bool on_name(void *ctx, const char *name, long long size)
{
	struct names *n = ctx;

	(void)size;
	if (strlen(name) < NAME_SIZE)
		snprintf(n->names[n->count++], NAME_SIZE, "%s", name);
	return n->count < NAMES_AT_ONCE;
}

int dump_delete(struct engine *en, const char *id, struct err *e)
{
	OWN(mem) void *room = mem_array(NAMES_AT_ONCE, NAME_SIZE);
	struct names n = { room, 0 };
	char prefix[NAME_SIZE], head[NAME_SIZE];

	if (!room)
		return err_set(e, ERR_INTERNAL, "out of memory");
	snprintf(prefix, sizeof(prefix), ROOT "%s/", id);
	snprintf(head, sizeof(head), ROOT "%s/head", id);
	if (engine_blob_delete(en, head, e) < 0)
		return -1;
	fault_point("dump.deleting");
	do {
		n.count = 0;
		if (engine_blobs(en, prefix, on_name, &n, e) < 0)
			return -1;
		for (size_t i = 0; i < n.count; i++)
			if (engine_blob_delete(en, n.names[i], e) < 0)
				return -1;
	} while (n.count > 0);
	return 0;
}

/* ---- accounts that were erased ------------------------------------------------------------------ */

int dump_mark_erased(struct engine *en, const char *mark, const char *user_id, struct err *e)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), ERASED "%s", mark);
	return engine_blob_put(en, name, user_id, strlen(user_id), e);
}

int dump_unmark_erased(struct engine *en, const char *mark, struct err *e)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), ERASED "%s", mark);
	return engine_blob_delete(en, name, e);
}

struct marks {
	struct engine *en;
	int (*on_user)(void *ctx, const char *user_id, const char *mark, struct err *e);
	void *ctx;
	struct err *e;
	bool is_failed;
};

static bool on_mark(void *ctx, const char *name, long long size)
{
	struct marks *m = ctx;
	OWN(mem) char *user_id = NULL;
	size_t len = 0;

	(void)size;
	if (engine_blob_get(m->en, name, &user_id, &len, m->e) < 0)
		m->is_failed = true;
	else if (!uuid_is_valid(user_id) || !uuid_is_valid(name + strlen(ERASED)))
		m->is_failed = err_set(m->e, ERR_UPSTREAM, "%s is damaged", name) < 0;
	else
		m->is_failed = m->on_user(m->ctx, user_id, name + strlen(ERASED), m->e) < 0;
	return !m->is_failed;
}

int dump_erased(struct engine *en,
                int (*on_user)(void *ctx, const char *user_id, const char *mark, struct err *e),
                void *ctx, struct err *e)
{
	struct marks m = { en, on_user, ctx, e, false };

	return engine_blobs(en, ERASED, on_mark, &m, e) < 0 || m.is_failed ? -1 : 0;
}
