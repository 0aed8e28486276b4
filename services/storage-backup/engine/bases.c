#include "engine/bases.h"

#include "format/mem.h"

#include "engine/condemned.h"
#include "engine/pack_check.h"

#include <assert.h>

#define STRAYS_MAX \
	256 /* packs whose index is read, one request each: a first backup that was killed */
#define STRAYS_SOME 32 /* … where there is a base: most is in that */
#define STRAY_TAIL  (32 << 10)

static void note(const struct bases *b, enum engine_note_kind kind, const char *what)
{
	const struct engine_watch *w = &b->req->watch;

	if (w->on_note)
		w->on_note(w->ctx, kind, what);
}

/* The base's packs in the table, and their numbers there. */
static int packs_map(struct bases *b, const struct manifest_reader *m, uint32_t **ret,
                     struct err *e)
{
	uint32_t count = manifest_head(m)->packs;
	OWN(mem) uint32_t *map = mem_array(count ? count : 1, sizeof(*map));

	if (!map)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (uint32_t i = 0; i < count; i++)
		if (pack_table_add(b->table, manifest_packs(m)[i].id, manifest_packs(m)[i].size,
		                   &map[i], e) < 0)
			return -1;
	*ret = TAKE(map);
	return 0;
}

static int chunks_load(struct bases *b, struct stored_manifest *m, const uint32_t *map,
                       bool is_first, struct err *e)
{
	assert(map);
	for (;;) {
		struct record r;
		bool is_end = false, is_new = false;

		if (stored_manifest_next(m, &r, &is_end, e) < 0)
			return -1;
		if (is_end)
			return 0;
		if (r.type != RECORD_CHUNK)
			continue;
		r.place.pack = map[r.place.pack];
		if (chunk_index_put(b->index, r.id, &r.place, &is_new, e) < 0)
			return -1;
		if (is_first && is_new)
			b->table->packs[r.place.pack].live += r.place.len;
	}
}

static int base_load(struct bases *b, const char *backup_id, bool is_first, struct err *e)
{
	struct engine_ref ref = { b->req->ref.user_id, NULL, backup_id };
	OWN(stored_manifest) struct stored_manifest m = { 0 };
	OWN(mem) uint32_t *map = NULL;

	if (stored_manifest_open(b->en, &ref, &m, e) < 0)
		return -1;
	/* What was sealed under an older key is not built upon: its key may be thrown away one day. */
	if (memcmp(manifest_keys(m.reader)->tag, b->keys->tag, sizeof(b->keys->tag)) != 0)
		return err_set(e, ERR_NOT_FOUND, "made with an older key");
	if (packs_map(b, m.reader, &map, e) < 0 || chunks_load(b, &m, map, is_first, e) < 0)
		return -1;
	if (!is_first)
		return 0;
	b->first_created_ms = manifest_head(m.reader)->created_ms;
	b->first_packs = TAKE(map);
	b->has_first = true;
	return 0;
}

static bool is_base_fault(enum err_code code)
{
	return code == ERR_NOT_FOUND || code == ERR_UPSTREAM || code == ERR_FORBIDDEN;
}

/* ---- what is in the store ------------------------------------------------------------------- */

struct listing {
	struct bases *b;
	struct manifest_pack strays[STRAYS_MAX];
	size_t stray_count;
	size_t prefix_len;
};

static bool on_pack(void *ctx, const struct storage_object *object)
{
	struct listing *l = ctx;
	unsigned char id[PACK_ID_LEN];
	struct known_pack *p;

	if (!pack_id_parse(object->key + l->prefix_len, id))
		return true;
	p = pack_table_find(l->b->table, id);
	if (p) {
		p->is_there = object->size == (long long)p->size;
	} else if (l->stray_count < (l->b->has_first ? STRAYS_SOME : STRAYS_MAX) &&
	           object->size <= PACK_BYTES_MAX) {
		memcpy(l->strays[l->stray_count].id, id, PACK_ID_LEN);
		l->strays[l->stray_count++].size = (uint32_t)object->size;
	}
	return true;
}

/* Mostly one request: an index is rarely longer than what is asked for at first. */
static int stray_read(const struct bases *b, const struct manifest_pack *p, struct pack_index *ret,
                      struct err *e)
{
	const struct keys *k = b->keys;
	struct key_text key = key_of_pack(k->user_id, p->id);
	size_t ask = p->size < STRAY_TAIL ? p->size : STRAY_TAIL, got = 0, len;
	OWN(mem) unsigned char *tail = mem_new(p->size);

	if (!tail || ask < PACK_INDEX_ADD ||
	    storage_get(b->en->storage, key.text, p->size - (long long)ask, tail, ask, &got, e) <
	            0 ||
	    got != ask)
		return -1;
	len = pack_index_len(tail + ask - 4, p->size);
	if (!len)
		return -1;
	if (len > ask && (storage_get(b->en->storage, key.text, p->size - (long long)len, tail, len,
	                              &got, e) < 0 ||
	                  got != len))
		return -1;
	return pack_index_open(
		k, &(struct pack_tail){ p->id, tail + (len > ask ? 0 : ask - len), len, p->size },
		ret, e);
}

/* One that cannot be read is of no use, and no harm: prune sees to it. */
static int stray_load(struct bases *b, const struct manifest_pack *p, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct pack_index x = { 0 };
	uint32_t number, offset = PACK_HEAD;
	int r;

	if (stray_read(b, p, &x, &ignored) < 0)
		return 0;
	r = pack_table_add(b->table, p->id, p->size, &number, e);
	for (size_t i = 0; r == 0 && i < x.count; i++) {
		struct pack_row row = pack_index_row(&x, i, offset);
		struct chunk_place place = { number, row.offset, row.len, row.plain_len }, other;
		bool found = false;

		offset += row.len;
		r = chunk_index_get(b->index, row.id, &found, &other, e);
		if (r == 0 && !(found && bases_may_use(b, other.pack)))
			r = chunk_index_put(b->index, row.id, &place, NULL, e);
	}
	if (r == 0) {
		b->table->packs[number].is_there = true;
		b->table->packs[number].is_stray = true;
	}
	pack_index_done(&x);
	return r;
}

static void on_condemned(void *ctx, const struct condemned *c)
{
	struct bases *b = ctx;
	struct known_pack *p = pack_table_find(b->table, c->id);
	uint32_t number;
	struct err full = ERR_INIT;

	/* It will not be deleted before this snapshot is done: see prune.c. */
	if ((long long)c->since_ms > b->started_ms - ENGINE_GRACE_MIN_S * 1000LL / 2)
		return;
	/* Known or not: nothing new may rely on it. A table that is full has no room for it anyway. */
	if (!p && pack_table_add(b->table, c->id, 0, &number, &full) == 0)
		p = &b->table->packs[number];
	if (p)
		p->is_shunned = true;
}

/* Packs that the first base uses less than half of are left to die by full backups. */
static void shun(struct bases *b)
{
	for (uint32_t i = 0; i < b->table->count; i++) {
		struct known_pack *p = &b->table->packs[i];

		if (!p->is_there || b->is_list_lost ||
		    (b->req->is_full && b->has_first && !p->is_stray && p->live < p->size / 2))
			p->is_shunned = true;
	}
}

/*
 * Who cannot know what is condemned relies on nothing. The list is damaged, or its key is gone: the
 * next prune writes it anew.
 */
static int condemned_load(struct bases *b, struct err *e)
{
	struct err why = ERR_INIT;

	if (condemned_read(b->en, b->ring, on_condemned, b, &why) == 0)
		return 0;
	if (!is_base_fault(why.code)) {
		*e = why;
		return -1;
	}
	b->is_list_lost = true;
	note(b, ENGINE_NOTE_BAD_OBJECT, key_of_condemned(b->req->ref.user_id).text);
	return 0;
}

static int on_checked(void *ctx, const struct pack_checked *p, struct err *e)
{
	struct bases *b = ctx;

	if (!p->why)
		return 0;
	if (!pack_is_bad(p->why)) {
		*e = *p->why;
		return -1;
	}
	b->table->packs[p->number].is_shunned = true;
	note(b, ENGINE_NOTE_BAD_OBJECT, p->key->text);
	return 0;
}

/* A full backup reads back what it may rely on: what is damaged is stored anew. */
static int packs_check(struct bases *b, struct err *e)
{
	const struct pack_check_to to = { b->en, b->keys, on_checked, b };
	OWN(pack_check) struct pack_check *check = NULL;

	if (pack_check_new(&to, &check, e) < 0)
		return -1;
	for (uint32_t i = 0; i < b->table->count; i++) {
		struct manifest_pack pack = { .size = b->table->packs[i].size };

		if (!bases_may_use(b, i))
			continue;
		memcpy(pack.id, b->table->packs[i].id, PACK_ID_LEN);
		if (pulse_tell(b->pulse, false, e) < 0 || pack_check_add(check, i, &pack, e) < 0)
			return -1;
	}
	return pack_check_end(check, e);
}

static int store_look(struct bases *b, struct err *e)
{
	OWN(mem) struct listing *l = mem_new(sizeof(*l));
	struct key_text prefix = key_of_packs(b->req->ref.user_id);
	struct storage_list_to to = { .on_object = on_pack, .ctx = l };

	if (!l)
		return err_set(e, ERR_INTERNAL, "out of memory");
	l->b = b;
	l->prefix_len = strlen(prefix.text);
	if (condemned_load(b, e) < 0 || storage_list(b->en->storage, prefix.text, &to, e) < 0)
		return -1;
	shun(b);
	for (size_t i = 0; i < l->stray_count && !b->is_list_lost; i++)
		if (stray_load(b, &l->strays[i], e) < 0)
			return -1;
	return b->req->is_full ? packs_check(b, e) : 0;
}

int bases_load(struct bases *b, struct err *e)
{
	struct engine_ref first = { b->req->ref.user_id, NULL, NULL };

	for (size_t i = 0; i < ENGINE_BASES_MAX && b->req->base_ids[i]; i++) {
		struct err why = ERR_INIT;

		if (base_load(b, b->req->base_ids[i], !b->has_first, &why) == 0) {
			if (!first.backup_id)
				first.backup_id = b->req->base_ids[i];
		} else if (is_base_fault(why.code)) {
			note(b, ENGINE_NOTE_NO_BASE, b->req->base_ids[i]);
		} else {
			*e = why;
			return -1;
		}
	}
	if (store_look(b, e) < 0)
		return -1;
	if (!b->has_first)
		return 0;
	if (stored_manifest_open(b->en, &first, &b->first, e) < 0)
		return -1;
	return stored_manifest_next(&b->first, &b->at, &b->is_at_end, e);
}

void bases_done(struct bases *b)
{
	stored_manifest_done(&b->first);
	free(TAKE(b->first_packs));
}

static bool has_path(const struct record *r)
{
	return r->type == RECORD_FILE || r->type == RECORD_DIR || r->type == RECORD_LINK;
}

/* Kept byte by byte: SQLite may copy it this time, and its journals belong to it. The note comes first. */
static bool was_plain(const struct bases *b)
{
	return b->at.path_len == b->plain_len && b->plain_len &&
	       memcmp(b->at.path, b->plain, b->plain_len) == 0;
}

static void remember_plain(struct bases *b)
{
	if (b->at.type != RECORD_NOTE || b->at.note != ENGINE_NOTE_PLAIN_DB)
		return;
	memcpy(b->plain, b->at.path, b->at.path_len);
	b->plain_len = b->at.path_len;
}

int bases_find(struct bases *b, const char *path, size_t len, const struct record **ret,
               struct err *e)
{
	*ret = NULL;
	if (!b->has_first)
		return 0;
	while (!b->is_at_end) {
		int order = has_path(&b->at)
		                    ? record_path_order(b->at.path, b->at.path_len, path, len)
		                    : -1;

		if (order == 0 && b->at.type == RECORD_FILE && !was_plain(b))
			*ret = &b->at;
		if (order >= 0)
			return 0;
		remember_plain(b);
		if (stored_manifest_next(&b->first, &b->at, &b->is_at_end, e) < 0)
			return -1;
	}
	return 0;
}

int bases_extent(struct bases *b, struct record *ret, struct err *e)
{
	if (stored_manifest_next(&b->first, &b->at, &b->is_at_end, e) < 0)
		return -1;
	*ret = b->at;
	if (ret->type == RECORD_CHUNK)
		ret->place.pack = b->first_packs[ret->place.pack];
	return 0;
}

bool bases_may_use(const struct bases *b, uint32_t pack)
{
	return b->table->packs[pack].is_there && !b->table->packs[pack].is_shunned;
}
