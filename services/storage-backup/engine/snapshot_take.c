#include "engine/snapshot.h"

#include "format/mem.h"

#define EXTENTS_LISTED 8192

void snapshot_work(void *ctx, void *slot, int worker)
{
	struct snapshot *s = ctx;
	struct slot *at = slot;

	chunk_id(s->keys, at->data, at->len, at->id);
	at->is_known = false;
	at->failure = ERR_INIT;
	if (chunk_index_get(s->index, at->id, &at->is_known, &at->known, &at->failure) < 0)
		return;
	/* The table grows under us, so whether the pack may be relied on is for take to see. */
	at->frame_len = at->is_known || s->is_dry ? 0
	                                          : chunk_seal(s->codecs[worker], s->keys, at->id,
	                                                       at->data, at->len, at->frame);
}

static int extents_spill(struct snapshot *s, struct err *e)
{
	struct extents *x = &s->extents;
	size_t len = x->count * sizeof(x->list[0]);

	if (x->scratch < 0)
		x->scratch = scratch_file(s->en, e);
	if (x->scratch < 0)
		return -1;
	if (pwrite(x->scratch, x->list, len, (off_t)(x->spilled * sizeof(x->list[0]))) !=
	    (ssize_t)len)
		return file_error(e, "scratch file");
	x->spilled += x->count;
	x->count = 0;
	return 0;
}

static int extent_add(struct snapshot *s, const struct extent *add, struct err *e)
{
	struct extents *x = &s->extents;

	if (!x->list)
		x->list = mem_array(EXTENTS_LISTED, sizeof(*x->list));
	if (!x->list)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (x->count == EXTENTS_LISTED && extents_spill(s, e) < 0)
		return -1;
	x->list[x->count++] = *add;
	return 0;
}

static void extents_clear(struct extents *x)
{
	x->count = 0;
	x->spilled = 0;
}

/* A chunk's worker found it known, but in a pack that nothing new may rely on. */
static void seal_late(struct snapshot *s, struct slot *at)
{
	at->frame_len =
		chunk_seal(s->codecs[WORKERS_MAX], s->keys, at->id, at->data, at->len, at->frame);
}

static int store_chunk(struct snapshot *s, struct slot *at, struct chunk_place *ret, struct err *e)
{
	static const unsigned char no_pack[PACK_ID_LEN];
	struct chunk_frame frame = { at->id, at->frame, 0, at->len };

	if (s->is_dry) {
		*ret = (struct chunk_place){ .offset = PACK_HEAD,
			                     .len = CHUNK_OVERHEAD,
			                     .plain_len = (uint32_t)at->len };
		return pack_table_add(&s->table, no_pack, PACK_BYTES_MAX, &ret->pack, e);
	}
	if (!at->frame_len)
		seal_late(s, at);
	frame.len = at->frame_len;
	if (packer_add(s->packer, &frame, ret, e) < 0)
		return -1;
	s->table.packs[ret->pack].is_there = true; /* or will be, before the manifest */
	return chunk_index_put(s->index, at->id, ret, NULL, e);
}

static int take_data(struct snapshot *s, struct slot *at, struct err *e)
{
	struct extent x = { .is_new = false };
	bool found = false;

	if (at->failure.code) {
		*e = at->failure;
		return -1;
	}
	memcpy(x.id, at->id, CHUNK_ID_LEN);
	/* Perhaps it came to be known since the worker looked. */
	if (chunk_index_get(s->index, at->id, &found, &x.place, e) < 0)
		return -1;
	if (!found || !bases_may_use(&s->bases, x.place.pack)) {
		if (store_chunk(s, at, &x.place, e) < 0)
			return -1;
		x.is_new = true;
	}
	s->pulse.progress.bytes_done += (long long)at->len;
	s->pulse.progress.bytes_stored = s->packer ? packer_stored(s->packer) : 0;
	return extent_add(s, &x, e);
}

static int extent_write(struct snapshot *s, const struct extent *x, struct err *e)
{
	struct record r = { .type = x->hole ? RECORD_HOLE : RECORD_CHUNK,
		            .size = x->hole,
		            .place = x->place,
		            .id = x->id };

	if (!x->hole) {
		r.place.pack = pack_table_local(&s->table, x->place.pack);
		s->head.chunks++;
		s->head.chunks_new += x->is_new;
	}
	return manifest_write(s->writer, &r, e);
}

static int extents_write(struct snapshot *s, struct err *e)
{
	const struct extents *x = &s->extents;

	for (uint64_t i = 0; i < x->spilled; i++) {
		struct extent one;

		if (pread(x->scratch, &one, sizeof(one), (off_t)(i * sizeof(one))) != sizeof(one))
			return file_error(e, "scratch file");
		if (extent_write(s, &one, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < x->count; i++)
		if (extent_write(s, &x->list[i], e) < 0)
			return -1;
	return 0;
}

/* at->record is the whole truth about the file, but for its path. */
static int take_end(struct snapshot *s, struct slot *at, struct err *e)
{
	struct record file = at->record;

	file.path = s->file_path;
	file.path_len = s->file.path_len;
	file.extents = s->extents.spilled + s->extents.count;
	if (manifest_write(s->writer, &file, e) < 0 || extents_write(s, e) < 0)
		return -1;
	extents_clear(&s->extents);
	s->head.files++;
	s->head.bytes += file.size;
	s->pulse.progress.files_done++;
	return 0;
}

static int take_record(struct snapshot *s, const struct slot *at, struct err *e)
{
	s->head.dirs += at->record.type == RECORD_DIR;
	s->head.links += at->record.type == RECORD_LINK;
	s->head.notes += at->record.type == RECORD_NOTE;
	return manifest_write(s->writer, &at->record, e);
}

int snapshot_take(void *ctx, void *slot, struct err *e)
{
	struct snapshot *s = ctx;
	struct slot *at = slot;
	struct extent x = { .is_new = false };

	switch (at->what) {
	case SLOT_RECORD:
		return take_record(s, at, e);
	case SLOT_FILE:
		s->file.path_len = at->record.path_len;
		memcpy(s->file_path, at->path, at->record.path_len + 1);
		extents_clear(&s->extents);
		return 0;
	case SLOT_AGAIN:
		extents_clear(&s->extents);
		return 0;
	case SLOT_DATA:
		return take_data(s, at, e);
	case SLOT_KNOWN:
		x.place = at->record.place;
		memcpy(x.id, at->id, CHUNK_ID_LEN);
		s->pulse.progress.bytes_done += x.place.plain_len;
		return extent_add(s, &x, e);
	case SLOT_HOLE:
		x.hole = at->record.size;
		s->pulse.progress.bytes_done += (long long)x.hole;
		return extent_add(s, &x, e);
	case SLOT_FILE_END:
		return take_end(s, at, e);
	}
	return err_set(e, ERR_INTERNAL, "a slot of no kind");
}
