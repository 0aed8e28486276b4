#include "engine/stream.h"

#include "format/mem.h"

#include "engine/fetcher.h"
#include "engine/ring.h"

#include <sodium.h>

#define SLOTS 16

enum slot_what { SLOT_ENTRY, SLOT_DATA, SLOT_HOLE, SLOT_END };

struct slot {
	enum slot_what what;
	struct record record;
	char path[RECORD_PATH_MAX + 1], target[RECORD_PATH_MAX + 1];
	unsigned char id[CHUNK_ID_LEN];
	unsigned char frame[CHUNK_FRAME_MAX], data[CHUNK_MAX];
	struct err failure;
};

struct stream {
	const struct engine *en;
	struct stored_manifest *m;
	const struct stream_sink *sink;
	struct pulse *pulse;
	struct fetcher *fetcher;
	struct chunk_codec *codecs[WORKERS_MAX];
	struct slot *slots[SLOTS];
	struct ring *ring;
};

static void own_stream(struct stream *s)
{
	ring_free(s->ring);
	for (size_t i = 0; i < SLOTS; i++) {
		if (s->slots[i])
			sodium_memzero(s->slots[i]->data, sizeof(s->slots[i]->data));
		free(s->slots[i]);
	}
	for (size_t i = 0; i < WORKERS_MAX; i++)
		chunk_codec_free(s->codecs[i]);
	fetcher_free(s->fetcher);
}

static void work(void *ctx, void *slot, int worker)
{
	struct stream *s = ctx;
	struct slot *at = slot;
	struct chunk_frame frame = { at->id, at->frame, at->record.place.len,
		                     at->record.place.plain_len };
	const struct manifest_pack *pack = &manifest_packs(s->m->reader)[at->record.place.pack];

	at->failure = ERR_INIT;
	if (chunk_open(s->codecs[worker], manifest_keys(s->m->reader), &frame, at->data,
	               &at->failure) < 0)
		object_error(&at->failure,
		             key_of_pack(manifest_keys(s->m->reader)->user_id, pack->id).text);
}

static int take(void *ctx, void *slot, struct err *e)
{
	struct stream *s = ctx;
	struct slot *at = slot;
	const struct stream_sink *sink = s->sink;
	struct engine_progress *progress = &s->pulse->progress;

	switch (at->what) {
	case SLOT_ENTRY:
		return sink->on_entry(sink->ctx, &at->record, e);
	case SLOT_HOLE:
		progress->bytes_done += (long long)at->record.size;
		return sink->on_hole ? sink->on_hole(sink->ctx, at->record.size, e) : 0;
	case SLOT_END:
		progress->files_done++;
		return sink->on_file_end ? sink->on_file_end(sink->ctx, e) : 0;
	case SLOT_DATA:
		break;
	}
	if (at->failure.code) {
		*e = at->failure;
		return -1;
	}
	progress->bytes_done += at->record.place.plain_len;
	if (!sink->on_data)
		return 0;
	return sink->on_data(sink->ctx, at->data, at->record.place.plain_len, e);
}

static int start(struct stream *s, struct err *e)
{
	struct ring_opt opt = {
		.slots = SLOTS, .workers = s->en->workers, .work = work, .take = take, .ctx = s
	};
	void *slots[SLOTS];

	for (size_t i = 0; i < SLOTS; i++) {
		slots[i] = s->slots[i] = mem_new(sizeof(*s->slots[i]));
		if (!s->slots[i])
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	for (int i = 0; i < s->en->workers; i++)
		if (chunk_codec_new(&s->codecs[i], e) < 0)
			return -1;
	if (fetcher_new(s->en, s->m, &s->fetcher, e) < 0)
		return -1;
	return ring_new(&opt, slots, &s->ring, e);
}

static struct slot *next(struct stream *s, enum slot_what what, const struct record *r,
                         struct err *e)
{
	struct slot *at;

	if (pulse_tell(s->pulse, false, e) < 0)
		return NULL;
	at = ring_next(s->ring, e);
	if (at) {
		at->what = what;
		at->record = *r;
	}
	return at;
}

static int put_entry(struct stream *s, const struct record *r, struct err *e)
{
	struct slot *at = next(s, SLOT_ENTRY, r, e);

	if (!at)
		return -1;
	memcpy(at->path, r->path, r->path_len);
	at->path[r->path_len] = 0;
	at->record.path = at->path;
	if (r->target_len)
		memcpy(at->target, r->target, r->target_len);
	at->target[r->target_len] = 0;
	at->record.target = r->target_len ? at->target : NULL;
	ring_put(s->ring, false);
	return 0;
}

static int put_extent(struct stream *s, const struct record *r, struct err *e)
{
	struct slot *at = next(s, r->type == RECORD_HOLE ? SLOT_HOLE : SLOT_DATA, r, e);
	const unsigned char *bytes;

	if (!at)
		return -1;
	if (r->type == RECORD_CHUNK) {
		if (fetcher_frame(s->fetcher, &r->place, &bytes, e) < 0)
			return -1;
		memcpy(at->frame, bytes, r->place.len);
		memcpy(at->id, r->id, CHUNK_ID_LEN);
	}
	ring_put(s->ring, r->type == RECORD_CHUNK);
	return 0;
}

static int put_end(struct stream *s, struct err *e)
{
	if (!next(s, SLOT_END, &(struct record){ 0 }, e))
		return -1;
	ring_put(s->ring, false);
	return 0;
}

static int file(struct stream *s, const struct record *r, bool is_wanted, struct err *e)
{
	uint64_t extents = r->extents;
	bool is_end = false;
	struct record x;

	for (uint64_t i = 0; i < extents; i++)
		if (stored_manifest_next(s->m, &x, &is_end, e) < 0 ||
		    (is_wanted && put_extent(s, &x, e) < 0))
			return -1;
	return is_wanted ? put_end(s, e) : 0;
}

static int run(struct stream *s, const char *under, struct err *e)
{
	for (;;) {
		struct record r;
		bool is_end = false, is_wanted;

		if (stored_manifest_next(s->m, &r, &is_end, e) < 0)
			return -1;
		if (is_end)
			return 0;
		if (r.type == RECORD_NOTE)
			continue;
		is_wanted = record_path_is_under(r.path, r.path_len, under);
		if (!is_wanted && record_path_order(r.path, r.path_len, under, strlen(under)) > 0)
			return 0;
		is_wanted = is_wanted && (!s->sink->wants || s->sink->wants(s->sink->ctx, &r));
		if (is_wanted && put_entry(s, &r, e) < 0)
			return -1;
		if (r.type == RECORD_FILE && file(s, &r, is_wanted, e) < 0)
			return -1;
	}
}

int stream_run(const struct engine *en, struct stored_manifest *m, const char *under,
               const struct stream_sink *sink, struct pulse *pulse, struct err *e)
{
	__attribute__((cleanup(
		own_stream))) struct stream s = { .en = en, .m = m, .sink = sink, .pulse = pulse };

	if (start(&s, e) < 0 || run(&s, under, e) < 0)
		return -1;
	return ring_finish(s.ring, e);
}
