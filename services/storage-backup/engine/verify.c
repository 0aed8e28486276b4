#include "engine/chunk_index.h"

#include "engine/ring.h"
#include "format/mem.h"

#define SLOTS_MAX 4 /* a pack each */

struct slot {
	uint32_t number;
	struct key_text key;
	size_t len;
	struct pack_index index;
	struct err failure;
	unsigned char bytes[PACK_BYTES_MAX + 1];
};

struct verifier {
	const struct engine *en;
	struct stored_manifest m;
	struct chunk_index *proven;
	struct chunk_codec *codecs[SLOTS_MAX];
	unsigned char *plain[SLOTS_MAX];
	struct slot *slots[SLOTS_MAX];
	struct ring *ring;
	struct pulse pulse;
	struct engine_proof *ret;
};

static void own_verifier(struct verifier *v)
{
	ring_free(v->ring);
	for (size_t i = 0; i < SLOTS_MAX; i++) {
		chunk_codec_free(v->codecs[i]);
		free(v->plain[i]);
		if (v->slots[i])
			pack_index_done(&v->slots[i]->index);
		free(v->slots[i]);
	}
	chunk_index_free(v->proven);
	stored_manifest_done(&v->m);
}

/* What a chunk at this very place is known by among the proven. */
static void proven_key(const unsigned char *id, const struct chunk_place *p,
                       unsigned char ret[CHUNK_ID_LEN])
{
	memcpy(ret, id, CHUNK_ID_LEN - 8);
	bytes_put32(ret + CHUNK_ID_LEN - 8, p->pack);
	bytes_put32(ret + CHUNK_ID_LEN - 4, p->offset);
}

static int check_pack(struct verifier *v, struct slot *at, int worker, struct err *e)
{
	const struct keys *k = manifest_keys(v->m.reader);
	const struct manifest_pack *p = &manifest_packs(v->m.reader)[at->number];
	size_t tail;
	uint32_t offset = PACK_HEAD;

	/* One byte more than it should have is asked for, to see that there is none. */
	if (storage_get(v->en->storage, at->key.text, 0, at->bytes, (size_t)p->size + 1, &at->len,
	                e) < 0)
		return -1;
	if (at->len != p->size || at->len < PACK_HEAD + PACK_INDEX_ADD)
		return err_set(e, ERR_UPSTREAM, "the pack has another length");
	tail = pack_index_len(at->bytes + at->len - 4, p->size);
	if (pack_head_check(k, at->bytes, e) < 0)
		return -1;
	if (!tail)
		return err_set(e, ERR_UPSTREAM, "the pack's index has no possible length");
	if (pack_index_open(k,
	                    &(struct pack_tail){ p->id, at->bytes + at->len - tail, tail, p->size },
	                    &at->index, e) < 0)
		return -1;
	for (size_t i = 0; i < at->index.count; i++) {
		struct pack_row row = pack_index_row(&at->index, i, offset);
		struct chunk_frame f = { row.id, at->bytes + offset, row.len, row.plain_len };

		if (chunk_open(v->codecs[worker], k, &f, v->plain[worker], e) < 0)
			return -1;
		offset += row.len;
	}
	return 0;
}

static void work(void *ctx, void *slot, int worker)
{
	struct verifier *v = ctx;
	struct slot *at = slot;

	at->failure = ERR_INIT;
	if (check_pack(v, at, worker, &at->failure) < 0 && at->failure.code == ERR_UPSTREAM)
		object_error(&at->failure, at->key.text);
}

static bool is_objects_fault(const struct err *e)
{
	return e->code == ERR_UPSTREAM || e->code == ERR_NOT_FOUND;
}

static void blame(struct engine_proof *ret, const struct key_text *key, const struct err *e)
{
	if (is_objects_fault(e) && !ret->bad_object[0])
		memcpy(ret->bad_object, key->text, sizeof(ret->bad_object));
}

static int take(void *ctx, void *slot, struct err *e)
{
	struct verifier *v = ctx;
	struct slot *at = slot;
	uint32_t offset = PACK_HEAD;
	int r = 0;

	if (at->failure.code) {
		*e = at->failure;
		blame(v->ret, &at->key, e);
		return -1;
	}
	for (size_t i = 0; r == 0 && i < at->index.count; i++) {
		struct pack_row row = pack_index_row(&at->index, i, offset);
		struct chunk_place place = { at->number, row.offset, row.len, row.plain_len };
		unsigned char key[CHUNK_ID_LEN];

		offset += row.len;
		proven_key(row.id, &place, key);
		r = chunk_index_put(v->proven, key, &place, NULL, e);
	}
	pack_index_done(&at->index);
	v->ret->packs++;
	v->ret->bytes += (long long)at->len;
	v->pulse.progress.bytes_done += (long long)at->len;
	return r;
}

static int start(struct verifier *v, struct err *e)
{
	int workers = v->en->workers < SLOTS_MAX - 1 ? v->en->workers : SLOTS_MAX - 1;
	struct ring_opt opt = { .slots = (size_t)workers + 1,
		                .workers = workers,
		                .work = work,
		                .take = take,
		                .ctx = v };
	void *slots[SLOTS_MAX];

	for (size_t i = 0; i < opt.slots; i++) {
		slots[i] = v->slots[i] = mem_new(sizeof(*v->slots[i]));
		v->plain[i] = mem_new(CHUNK_MAX);
		if (!v->slots[i] || !v->plain[i])
			return err_set(e, ERR_INTERNAL, "out of memory");
		v->slots[i]->index = (struct pack_index){ 0 };
		if (chunk_codec_new(&v->codecs[i], e) < 0)
			return -1;
	}
	if (chunk_index_new(v->en, &v->proven, e) < 0)
		return -1;
	return ring_new(&opt, slots, &v->ring, e);
}

static int check_packs(struct verifier *v, struct err *e)
{
	const struct manifest_head *head = manifest_head(v->m.reader);
	const struct manifest_pack *packs = manifest_packs(v->m.reader);

	for (uint32_t i = 0; i < head->packs; i++)
		v->pulse.progress.bytes_total += packs[i].size;
	for (uint32_t i = 0; i < head->packs; i++) {
		struct slot *at;

		if (packs[i].size > PACK_BYTES_MAX)
			return err_set(e, ERR_UPSTREAM, "%s: an impossible pack", v->m.key.text);
		if (pulse_tell(&v->pulse, false, e) < 0)
			return -1;
		at = ring_next(v->ring, e);
		if (!at)
			return -1;
		at->number = i;
		at->key = key_of_pack(head->user_id, packs[i].id);
		ring_put(v->ring, true);
	}
	return ring_finish(v->ring, e);
}

/* Every chunk that the manifest names is one that was proven, at that place. */
static int check_entries(struct verifier *v, struct err *e)
{
	for (;;) {
		unsigned char key[CHUNK_ID_LEN];
		struct chunk_place place;
		struct record r;
		bool is_end = false, found = false;

		if (stored_manifest_next(&v->m, &r, &is_end, e) < 0)
			return -1;
		if (is_end)
			return 0;
		v->ret->files += r.type == RECORD_FILE;
		if (r.type != RECORD_CHUNK)
			continue;
		proven_key(r.id, &r.place, key);
		if (chunk_index_get(v->proven, key, &found, &place, e) < 0)
			return -1;
		if (!found || place.len != r.place.len || place.plain_len != r.place.plain_len)
			return err_set(e, ERR_UPSTREAM, "%s names a chunk that no pack has",
			               v->m.key.text);
		v->ret->chunks++;
	}
}

int engine_verify(struct engine *en, const struct engine_ref *ref, const struct engine_watch *watch,
                  struct engine_proof *ret, struct err *e)
{
	__attribute__((cleanup(own_verifier))) struct verifier v = {
		.en = en, .pulse = { .watch = watch, .progress.step = "verify" }, .ret = ret
	};

	*ret = (struct engine_proof){ 0 };
	if (stored_manifest_open(en, ref, &v.m, e) < 0) {
		blame(ret, &v.m.key, e);
		return -1;
	}
	if (start(&v, e) < 0 || check_packs(&v, e) < 0)
		return -1;
	if (check_entries(&v, e) < 0) {
		blame(ret, &v.m.key, e);
		return -1;
	}
	return 0;
}
