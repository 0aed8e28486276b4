#include "engine/pack_check.h"

#include "engine/ring.h"
#include "format/mem.h"

#define SLOTS_MAX 4 /* a pack each */
#define READINGS  2

struct slot {
	uint32_t number;
	struct manifest_pack pack;
	struct key_text key;
	size_t len;
	struct pack_index index;
	struct err failure;
	unsigned char bytes[PACK_BYTES_MAX + 1];
};

struct pack_check {
	struct pack_check_to to;
	struct chunk_codec *codecs[SLOTS_MAX];
	unsigned char *plain[SLOTS_MAX];
	struct slot *slots[SLOTS_MAX];
	struct ring *ring;
};

void pack_check_free(struct pack_check *c)
{
	if (!c)
		return;
	ring_free(c->ring);
	for (size_t i = 0; i < SLOTS_MAX; i++) {
		chunk_codec_free(c->codecs[i]);
		free(c->plain[i]);
		if (c->slots[i])
			pack_index_done(&c->slots[i]->index);
		free(c->slots[i]);
	}
	free(c);
}

static int check(struct pack_check *c, struct slot *at, int worker, struct err *e)
{
	const struct keys *k = c->to.keys;
	const struct manifest_pack *p = &at->pack;
	size_t tail;
	uint32_t offset = PACK_HEAD;

	/* One byte more than it should have is asked for, to see that there is none. */
	if (storage_get(c->to.en->storage, at->key.text, 0, at->bytes, (size_t)p->size + 1,
	                &at->len, e) < 0)
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

		if (chunk_open(c->codecs[worker], k, &f, c->plain[worker], e) < 0)
			return -1;
		offset += row.len;
	}
	return 0;
}

static void work(void *ctx, void *slot, int worker)
{
	struct pack_check *c = ctx;
	struct slot *at = slot;
	int r = -1;

	/* What came otherwise than it lies there, through a bad line say, comes right the second time. */
	for (int i = 0; r < 0 && i < READINGS && (i == 0 || at->failure.code == ERR_UPSTREAM);
	     i++) {
		at->failure = ERR_INIT;
		pack_index_done(&at->index);
		r = check(c, at, worker, &at->failure);
	}
	if (at->failure.code == ERR_UPSTREAM)
		object_error(&at->failure, at->key.text);
}

static int take(void *ctx, void *slot, struct err *e)
{
	struct pack_check *c = ctx;
	struct slot *at = slot;
	struct pack_checked done = { at->number, &at->key, at->len, &at->index,
		                     at->failure.code ? &at->failure : NULL };
	int r = c->to.on_pack(c->to.ctx, &done, e);

	pack_index_done(&at->index);
	return r;
}

int pack_check_new(const struct pack_check_to *to, struct pack_check **ret, struct err *e)
{
	OWN(pack_check) struct pack_check *c = mem_new(sizeof(*c));
	int workers = to->en->workers < SLOTS_MAX - 1 ? to->en->workers : SLOTS_MAX - 1;
	struct ring_opt opt = { .slots = (size_t)workers + 1,
		                .workers = workers,
		                .work = work,
		                .take = take,
		                .ctx = c };
	void *slots[SLOTS_MAX];

	if (!c)
		return err_set(e, ERR_INTERNAL, "out of memory");
	c->to = *to;
	for (size_t i = 0; i < opt.slots; i++) {
		slots[i] = c->slots[i] = mem_new(sizeof(*c->slots[i]));
		c->plain[i] = mem_new(CHUNK_MAX);
		if (!c->slots[i] || !c->plain[i])
			return err_set(e, ERR_INTERNAL, "out of memory");
		c->slots[i]->index = (struct pack_index){ 0 };
		if (chunk_codec_new(&c->codecs[i], e) < 0)
			return -1;
	}
	if (ring_new(&opt, slots, &c->ring, e) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

int pack_check_add(struct pack_check *c, uint32_t number, const struct manifest_pack *pack,
                   struct err *e)
{
	struct slot *at = ring_next(c->ring, e);

	if (!at)
		return -1;
	at->number = number;
	at->pack = *pack;
	at->key = key_of_pack(c->to.keys->user_id, pack->id);
	ring_put(c->ring, true);
	return 0;
}

int pack_check_end(struct pack_check *c, struct err *e)
{
	return ring_finish(c->ring, e);
}

bool pack_is_bad(const struct err *why)
{
	return why->code == ERR_UPSTREAM || why->code == ERR_NOT_FOUND;
}
