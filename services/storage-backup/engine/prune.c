#include "engine/catalog.h"
#include "engine/condemned.h"
#include "engine/pack_table.h"

#include "base/clock.h"
#include "base/uuid.h"

#include <sodium.h>

/*
 * Why this loses nothing, without a lock. A pack is deleted only when (1) a list in the store has
 * condemned it for at least the grace, and (2) no manifest names it now. A snapshot commits within
 * half of the least grace, or not at all. It relies on no pack that was condemned longer than that
 * before it began: whichever pack it relies on, its manifest is there before the pack's grace is
 * over, and is seen here. A mark that itself takes half of the grace gives up, so that a list which
 * a snapshot could not see yet is not much younger than it says.
 * A crash leaves a list of packs of which some are gone already: the next run writes it anew.
 */
#define MARK_MAX_MS (ENGINE_GRACE_MIN_S * 1000LL / 2)

struct pruner {
	const struct engine *en;
	const char *user_id;
	long long now_ms, mono_ms, grace_ms;
	struct key_ring *ring;
	struct pulse pulse;
	struct pack_table live;
	struct pack_table old; /* what the list says; since_ms beside it */
	uint64_t *old_since;
	size_t old_size;
	struct condemned *list; /* the new one */
	size_t count, size;
	size_t prefix_len;
	bool is_list_lost;
	struct engine_pruned done;
	uint32_t *sizes; /* of list's packs */
	struct err failure;
};

static void own_pruner(struct pruner *p)
{
	pack_table_done(&p->live);
	pack_table_done(&p->old);
	key_ring_free(p->ring);
	free(p->old_since);
	free(p->list);
	free(p->sizes);
}

static int mark_one(struct pruner *p, const char *backup_id, struct err *e)
{
	struct engine_ref ref = { p->user_id, NULL, backup_id };
	OWN(stored_manifest) struct stored_manifest m = { 0 };
	struct err why = ERR_INIT;
	uint32_t number;

	if (stored_manifest_open(p->en, &ref, &m, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return 0; /* deleted meanwhile */
		*e = why;
		return -1;
	}
	for (uint32_t i = 0; i < manifest_head(m.reader)->packs; i++)
		if (pack_table_add(&p->live, manifest_packs(m.reader)[i].id, 0, &number, e) < 0)
			return -1;
	return 0;
}

static int mark(struct pruner *p, struct err *e)
{
	OWN(backup_ids) struct backup_ids ids = { 0 };

	if (catalog_backups(p->en, p->user_id, &ids, e) < 0)
		return -1;
	p->pulse.progress.files_total = (long long)ids.count;
	for (size_t i = 0; i < ids.count; i++) {
		p->pulse.progress.files_done = (long long)i;
		if (pulse_tell(&p->pulse, false, e) < 0 || mark_one(p, ids.ids[i], e) < 0)
			return -1;
	}
	return 0;
}

static void on_condemned(void *ctx, const struct condemned *c)
{
	struct pruner *p = ctx;
	uint32_t number;

	if (p->failure.code || pack_table_add(&p->old, c->id, 0, &number, &p->failure) < 0)
		return;
	if (number >= p->old_size) {
		size_t size = p->old_size ? 2 * p->old_size : 64;
		uint64_t *more = realloc(p->old_since, size * sizeof(*more));

		if (!more) {
			err_set(&p->failure, ERR_INTERNAL, "out of memory");
			return;
		}
		p->old_since = more;
		p->old_size = size;
	}
	p->old_since[number] = c->since_ms;
}

static int list_add(struct pruner *p, const struct condemned *c, uint32_t size)
{
	if (p->count == p->size) {
		size_t more = p->size ? 2 * p->size : 64;
		struct condemned *list = realloc(p->list, more * sizeof(*list));
		uint32_t *sizes = list ? realloc(p->sizes, more * sizeof(*sizes)) : NULL;

		if (list)
			p->list = list;
		if (sizes)
			p->sizes = sizes;
		if (!sizes || p->count == CONDEMNED_MAX)
			return err_set(&p->failure, ERR_INTERNAL, "out of memory");
		p->size = more;
	}
	p->sizes[p->count] = size;
	p->list[p->count++] = *c;
	return 0;
}

static bool on_pack(void *ctx, const struct storage_object *object)
{
	struct pruner *p = ctx;
	struct condemned c = { .since_ms = (uint64_t)p->now_ms };
	const struct known_pack *old;

	if (!pack_id_parse(object->key + p->prefix_len, c.id))
		return true; /* none of ours */
	if (pack_table_find(&p->live, c.id)) {
		p->done.packs_live++;
		p->done.bytes_live += object->size;
		return true;
	}
	old = pack_table_find(&p->old, c.id);
	if (old)
		c.since_ms = p->old_since[old - p->old.packs];
	return list_add(p, &c, object->size < UINT32_MAX ? (uint32_t)object->size : UINT32_MAX) ==
	       0;
}

/* One that is damaged, or whose key is gone, is no more than a list that is to be begun anew: every
 * grace then begins now. A snapshot that cannot read it either relies on nothing (bases.c). */
static int list_read(struct pruner *p, struct err *e)
{
	const struct engine_watch *w = p->pulse.watch;
	struct err why = ERR_INIT;

	if (condemned_read(p->en, p->ring, on_condemned, p, &why) == 0)
		return 0;
	if (why.code != ERR_UPSTREAM && why.code != ERR_FORBIDDEN) {
		*e = why;
		return -1;
	}
	if (w && w->on_note)
		w->on_note(w->ctx, ENGINE_NOTE_BAD_OBJECT, key_of_condemned(p->user_id).text);
	p->is_list_lost = true;
	return 0;
}

static int list_make(struct pruner *p, struct err *e)
{
	struct key_text prefix = key_of_packs(p->user_id);
	struct storage_list_to to = { .on_object = on_pack, .ctx = p };

	p->prefix_len = strlen(prefix.text);
	if (list_read(p, e) < 0 ||
	    (!p->failure.code && storage_list(p->en->storage, prefix.text, &to, e) < 0))
		return -1;
	if (p->failure.code) {
		*e = p->failure;
		return -1;
	}
	return 0;
}

static int sweep(struct pruner *p, struct err *e)
{
	for (size_t i = 0; i < p->count; i++) {
		if (p->now_ms < (long long)p->list[i].since_ms + p->grace_ms) {
			p->done.packs_condemned++;
			p->done.bytes_condemned += p->sizes[i];
			continue;
		}
		if (pulse_tell(&p->pulse, false, e) < 0)
			return -1;
		fault_point("prune.delete");
		if (storage_delete(p->en->storage, key_of_pack(p->user_id, p->list[i].id).text, e) <
		    0)
			return -1;
		p->done.packs_deleted++;
		p->done.bytes_deleted += p->sizes[i];
	}
	return 0;
}

int engine_prune(struct engine *en, const char *user_id, long long grace_s,
                 const struct engine_watch *watch, struct engine_pruned *ret, struct err *e)
{
	__attribute__((cleanup(own_pruner))) struct pruner p = {
		.en = en,
		.user_id = user_id,
		.now_ms = en->now_ms(),
		.mono_ms = clock_mono_ms(),
		.grace_ms = grace_s * 1000,
		.pulse = { .watch = watch, .progress.step = "scan" },
	};

	if (!uuid_is_valid(user_id))
		return err_field(e, "user_id", "is no UUID");
	if (grace_s < ENGINE_GRACE_MIN_S)
		return err_set(e, ERR_INVALID, "the grace must be at least %d s",
		               ENGINE_GRACE_MIN_S);
	if (key_ring_new(en, user_id, &p.ring, e) < 0 || mark(&p, e) < 0 || list_make(&p, e) < 0)
		return -1;
	if (en->now_ms() - p.now_ms > MARK_MAX_MS || clock_mono_ms() - p.mono_ms > MARK_MAX_MS)
		return err_set(e, ERR_TIMEOUT, "looking through the manifests took too long");
	fault_point("prune.marked");
	if ((p.count > 0 || p.old.count > 0 || p.is_list_lost) &&
	    condemned_write(en, p.ring, p.list, p.count, e) < 0)
		return -1;
	fault_point("prune.condemned");
	if (sweep(&p, e) < 0)
		return -1;
	*ret = p.done;
	return 0;
}
