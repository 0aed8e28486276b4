#include "engine/fetcher.h"

#include "format/mem.h"

#define STRETCHES     8
#define STRETCH_BYTES (1 << 20)

_Static_assert(STRETCH_BYTES >= CHUNK_FRAME_MAX, "a frame fits");

struct stretch {
	bool is_used;
	uint32_t pack, offset;
	size_t len;
	uint64_t last_use;
	unsigned char *bytes;
};

struct fetcher {
	const struct engine *en;
	const struct stored_manifest *m;
	uint64_t uses;
	struct stretch stretches[STRETCHES];
};

int fetcher_new(const struct engine *en, const struct stored_manifest *m, struct fetcher **ret,
                struct err *e)
{
	OWN(fetcher) struct fetcher *f = mem_new(sizeof(*f));

	if (!f)
		return err_set(e, ERR_INTERNAL, "out of memory");
	f->en = en;
	f->m = m;
	for (size_t i = 0; i < STRETCHES; i++) {
		f->stretches[i].bytes = mem_new(STRETCH_BYTES);
		if (!f->stretches[i].bytes)
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	*ret = TAKE(f);
	return 0;
}

void fetcher_free(struct fetcher *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < STRETCHES; i++)
		free(f->stretches[i].bytes);
	free(f);
}

static bool holds(const struct stretch *s, const struct chunk_place *p)
{
	return s->is_used && s->pack == p->pack && s->offset <= p->offset &&
	       (uint64_t)p->offset + p->len <= (uint64_t)s->offset + s->len;
}

static int read_stretch(struct fetcher *f, struct stretch *s, const struct chunk_place *p,
                        struct err *e)
{
	const struct manifest_pack *pack = &manifest_packs(f->m->reader)[p->pack];
	struct key_text key = key_of_pack(manifest_keys(f->m->reader)->user_id, pack->id);
	size_t left = pack->size - p->offset;
	size_t want = left < STRETCH_BYTES ? left : STRETCH_BYTES;

	s->is_used = false;
	if (storage_get(f->en->storage, key.text, p->offset, s->bytes, want, &s->len, e) < 0)
		return -1;
	if (s->len < p->len)
		return err_set(e, ERR_UPSTREAM, "%s is too short", key.text);
	s->is_used = true;
	s->pack = p->pack;
	s->offset = p->offset;
	return 0;
}

int fetcher_frame(struct fetcher *f, const struct chunk_place *place, const unsigned char **ret,
                  struct err *e)
{
	struct stretch *best = &f->stretches[0];

	for (size_t i = 0; i < STRETCHES && !holds(best, place); i++) {
		struct stretch *s = &f->stretches[i];

		if (holds(s, place) || s->last_use < best->last_use)
			best = s;
	}
	if (!holds(best, place) && read_stretch(f, best, place, e) < 0)
		return -1;
	best->last_use = ++f->uses;
	*ret = best->bytes + (place->offset - best->offset);
	return 0;
}
