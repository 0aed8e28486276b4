#include "engine/snapshot.h"

#include "format/mem.h"

#include "base/clock.h"

#include <errno.h>
#include <sodium.h>

/* What a finished manifest must be younger than: see ENGINE_GRACE_MIN_S. */
#define SNAPSHOT_MAX_MS (ENGINE_GRACE_MIN_S * 1000LL / 2)

static void own_snapshot(struct snapshot *const *at)
{
	struct snapshot *s = *at;

	if (!s)
		return;
	ring_free(s->ring); /* first: workers use the rest */
	packer_free(s->packer);
	for (size_t i = 0; i < COUNT(s->slots); i++) {
		if (s->slots[i])
			sodium_memzero(s->slots[i]->data, sizeof(s->slots[i]->data));
		free(s->slots[i]);
	}
	for (size_t i = 0; i < COUNT(s->codecs); i++)
		chunk_codec_free(s->codecs[i]);
	for (size_t i = 0; i < s->plain_count; i++)
		free(s->plain[i]);
	if (s->window)
		sodium_memzero(s->window, SNAPSHOT_WINDOW);
	free(s->window);
	free(s->extents.list);
	if (s->extents.scratch >= 0)
		close(s->extents.scratch);
	if (s->scratch >= 0)
		close(s->scratch);
	if (s->out >= 0)
		close(s->out);
	manifest_writer_free(s->writer);
	bases_done(&s->bases);
	chunk_index_free(s->index);
	pack_table_done(&s->table);
	key_ring_free(s->ring_of_keys);
	free(s);
}

static int count_item(void *ctx, const struct walk_item *item, struct err *e)
{
	struct pulse *p = ctx;

	if (S_ISREG(item->st.st_mode)) {
		p->progress.files_total++;
		p->progress.bytes_total += item->st.st_size;
	}
	return pulse_tell(p, false, e);
}

/* How much there is to do. What changes until then makes it a little wrong. */
static int scan(struct snapshot *s, struct err *e)
{
	struct walk_to to = { .on_item = count_item, .ctx = &s->pulse };

	s->pulse.progress.step = "scan";
	return walk(s->req->dir, &to, e);
}

static int start_reading(struct snapshot *s, struct err *e)
{
	s->bases = (struct bases){ .en = s->en,
		                   .ring = s->ring_of_keys,
		                   .keys = s->keys,
		                   .req = s->req,
		                   .started_ms = s->started_ms,
		                   .pulse = &s->pulse,
		                   .table = &s->table,
		                   .index = NULL };
	if (chunk_index_new(s->en, &s->index, e) < 0)
		return -1;
	s->bases.index = s->index;
	return bases_load(&s->bases, e);
}

static int start_working(struct snapshot *s, struct err *e)
{
	struct ring_opt opt = { .slots = SNAPSHOT_SLOTS,
		                .workers = s->en->workers,
		                .work = snapshot_work,
		                .take = snapshot_take,
		                .ctx = s };
	void *slots[SNAPSHOT_SLOTS];

	s->window = mem_new(SNAPSHOT_WINDOW);
	if (!s->window)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < COUNT(s->slots); i++) {
		slots[i] = s->slots[i] = mem_new(sizeof(*s->slots[i]));
		if (!s->slots[i])
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	for (int i = 0; i < s->en->workers; i++)
		if (chunk_codec_new(&s->codecs[i], e) < 0)
			return -1;
	if (chunk_codec_new(&s->codecs[WORKERS_MAX], e) < 0 ||
	    (!s->is_dry && packer_new(s->en, s->keys, &s->table, &s->packer, e) < 0))
		return -1;
	return ring_new(&opt, slots, &s->ring, e);
}

static int start_writing(struct snapshot *s, struct err *e)
{
	const struct engine_ref *ref = &s->req->ref;

	snprintf(s->head.user_id, sizeof(s->head.user_id), "%s", ref->user_id);
	snprintf(s->head.instance_id, sizeof(s->head.instance_id), "%s", ref->instance_id);
	snprintf(s->head.backup_id, sizeof(s->head.backup_id), "%s", ref->backup_id);
	s->head.is_full = s->req->is_full;
	s->head.created_ms = (uint64_t)s->started_ms;
	s->scratch = scratch_file(s->en, e);
	s->out = s->scratch < 0 ? -1 : scratch_file(s->en, e);
	if (s->out < 0)
		return -1;
	return manifest_writer_new(s->keys, &s->head, s->scratch, &s->writer, e);
}

/* The whole manifest into s->out. */
static int finish(struct snapshot *s, struct err *e)
{
	OWN(mem) struct manifest_pack *packs = pack_table_export(&s->table);

	if (!packs)
		return err_set(e, ERR_INTERNAL, "out of memory");
	s->head.packs = s->table.local_count;
	s->head.bytes_stored = s->packer ? (uint64_t)packer_stored(s->packer) : 0;
	return manifest_finish(s->writer, &s->head, packs, s->out, e);
}

/* By two clocks: the one on the wall may be set back meanwhile. */
static bool is_too_late(const struct snapshot *s)
{
	return s->en->now_ms() - s->started_ms > SNAPSHOT_MAX_MS ||
	       clock_mono_ms() - s->started_mono_ms > SNAPSHOT_MAX_MS;
}

/* The one moment in which the backup comes to be is that of the put. */
static int commit(struct snapshot *s, struct err *e)
{
	struct key_text key = key_of_manifest(s->req->ref.user_id, s->req->ref.backup_id);
	off_t size;

	s->pulse.progress.step = "commit";
	if (packer_finish(s->packer, e) < 0 || pulse_tell(&s->pulse, true, e) < 0 ||
	    finish(s, e) < 0)
		return -1;
	size = lseek(s->out, 0, SEEK_CUR);
	if (is_too_late(s))
		return err_set(e, ERR_TIMEOUT,
		               "the backup took longer than %lld h: what it relies "
		               "on may have been deleted meanwhile",
		               SNAPSHOT_MAX_MS / 3600000);
	fault_point("snapshot.commit");
	if (storage_put_file(s->en->storage, key.text, s->out, size, e) < 0)
		return -1;
	fault_point("snapshot.committed");
	return 0;
}

/* All but the commit. */
static int make(struct snapshot *s, struct err *e)
{
	struct walk_to to = { .on_item = snapshot_on_item,
		              .on_vanished = snapshot_on_vanished,
		              .ctx = s };

	if (key_ring_new(s->en, s->req->ref.user_id, &s->ring_of_keys, e) < 0)
		return -1;
	if (!s->keys)
		s->keys = &s->ring_of_keys->keys[0];
	if (scan(s, e) < 0 || start_reading(s, e) < 0 || start_working(s, e) < 0 ||
	    start_writing(s, e) < 0)
		return -1;
	fault_point("snapshot.begin");
	s->pulse.progress.step = "copy";
	if (walk(s->req->dir, &to, e) < 0)
		return -1;
	return ring_finish(s->ring, e);
}

static struct snapshot *snapshot_new(const struct engine *en, const struct engine_snapshot_req *req,
                                     struct err *e)
{
	struct snapshot *s = mem_new(sizeof(*s));

	if (!s) {
		err_set(e, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	s->en = en;
	s->req = req;
	s->started_ms = en->now_ms();
	s->started_mono_ms = clock_mono_ms();
	s->scratch = s->out = s->extents.scratch = -1;
	s->pulse.watch = &req->watch;
	return s;
}

int snapshot_dry(const struct engine *en, const struct engine_snapshot_req *req, const char *under,
                 const struct keys *keys, struct dry *ret, struct err *e)
{
	__attribute__((cleanup(own_snapshot))) struct snapshot *s = snapshot_new(en, req, e);

	if (!s)
		return -1;
	s->is_dry = true;
	s->keys = keys;
	s->under = under;
	if (make(s, e) < 0 || finish(s, e) < 0)
		return -1;
	memcpy(ret->backup_id, s->head.backup_id, sizeof(ret->backup_id));
	ret->fd = s->out;
	s->out = -1;
	return 0;
}

static int make_and_commit(const struct engine *en, const struct engine_snapshot_req *req,
                           struct engine_totals *ret, struct err *e)
{
	__attribute__((cleanup(own_snapshot))) struct snapshot *s = snapshot_new(en, req, e);

	if (!s || make(s, e) < 0 || commit(s, e) < 0)
		return -1;
	totals_of_head(&s->head, ret);
	return 0;
}

int engine_snapshot(struct engine *en, const struct engine_snapshot_req *req,
                    struct engine_totals *ret, struct err *e)
{
	struct engine_ref any = { req->ref.user_id, NULL, req->ref.backup_id };
	struct manifest_head head;
	struct err why = ERR_INIT;

	if (!req->ref.instance_id)
		return err_field(e, "instance_id", "is missing");
	if (ref_check(&req->ref, e) < 0)
		return -1;
	if (stored_manifest_head(en, &any, &head, &why) == 0) {
		if (strcmp(head.instance_id, req->ref.instance_id) != 0)
			return err_field(e, "backup_id", "is another instance's backup");
		totals_of_head(&head, ret);
		return 0;
	}
	/* One that is damaged is made anew; a store that does not answer is no reason to begin. */
	if (why.code != ERR_NOT_FOUND && why.code != ERR_UPSTREAM && why.code != ERR_FORBIDDEN) {
		*e = why;
		return -1;
	}
	return make_and_commit(en, req, ret, e);
}
