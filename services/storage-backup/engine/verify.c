#include "engine/chunk_index.h"

#include "engine/pack_check.h"
#include "format/mem.h"

struct verifier {
	const struct engine *en;
	struct stored_manifest m;
	struct chunk_index *proven;
	struct pack_check *check;
	struct pulse pulse;
	struct engine_proof *ret;
};

static void own_verifier(struct verifier *v)
{
	pack_check_free(v->check);
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

static void blame(struct engine_proof *ret, const struct key_text *key, const struct err *e)
{
	if (pack_is_bad(e) && !ret->bad_object[0])
		memcpy(ret->bad_object, key->text, sizeof(ret->bad_object));
}

static int on_pack(void *ctx, const struct pack_checked *p, struct err *e)
{
	struct verifier *v = ctx;
	uint32_t offset = PACK_HEAD;
	int r = 0;

	if (p->why) {
		*e = *p->why;
		blame(v->ret, p->key, e);
		return -1;
	}
	for (size_t i = 0; r == 0 && i < p->index->count; i++) {
		struct pack_row row = pack_index_row(p->index, i, offset);
		struct chunk_place place = { p->number, row.offset, row.len, row.plain_len };
		unsigned char key[CHUNK_ID_LEN];

		offset += row.len;
		proven_key(row.id, &place, key);
		r = chunk_index_put(v->proven, key, &place, NULL, e);
	}
	v->ret->packs++;
	v->ret->bytes += (long long)p->len;
	v->pulse.progress.bytes_done += (long long)p->len;
	return r;
}

static int start(struct verifier *v, struct err *e)
{
	const struct pack_check_to to = { v->en, manifest_keys(v->m.reader), on_pack, v };

	if (chunk_index_new(v->en, &v->proven, e) < 0)
		return -1;
	return pack_check_new(&to, &v->check, e);
}

static int check_packs(struct verifier *v, struct err *e)
{
	const struct manifest_head *head = manifest_head(v->m.reader);
	const struct manifest_pack *packs = manifest_packs(v->m.reader);

	for (uint32_t i = 0; i < head->packs; i++)
		v->pulse.progress.bytes_total += packs[i].size;
	for (uint32_t i = 0; i < head->packs; i++) {
		if (packs[i].size > PACK_BYTES_MAX)
			return err_set(e, ERR_UPSTREAM, "%s: an impossible pack", v->m.key.text);
		if (pulse_tell(&v->pulse, false, e) < 0 ||
		    pack_check_add(v->check, i, &packs[i], e) < 0)
			return -1;
	}
	return pack_check_end(v->check, e);
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
