#include "engine/pack_table.h"

#include "format/mem.h"

#include <assert.h>

#define BUCKETS_FIRST 256

void pack_table_done(struct pack_table *t)
{
	free(t->packs);
	free(t->buckets);
	*t = (struct pack_table){ 0 };
}

static uint32_t *bucket_of(const struct pack_table *t, const unsigned char *id)
{
	uint32_t at;

	assert(id);
	memcpy(&at, id, sizeof(at));
	for (at &= t->bucket_count - 1;; at = (at + 1) & (t->bucket_count - 1))
		if (!t->buckets[at] ||
		    memcmp(t->packs[t->buckets[at] - 1].id, id, PACK_ID_LEN) == 0)
			return &t->buckets[at];
}

static int buckets_grow(struct pack_table *t, struct err *e)
{
	uint32_t count = t->bucket_count ? 2 * t->bucket_count : BUCKETS_FIRST;
	uint32_t *buckets = mem_array(count, sizeof(*buckets));

	if (!buckets)
		return err_set(e, ERR_INTERNAL, "out of memory");
	free(t->buckets);
	t->buckets = buckets;
	t->bucket_count = count;
	for (uint32_t i = 0; i < t->count; i++)
		*bucket_of(t, t->packs[i].id) = i + 1;
	return 0;
}

struct known_pack *pack_table_find(const struct pack_table *t, const unsigned char id[PACK_ID_LEN])
{
	uint32_t at = t->bucket_count ? *bucket_of(t, id) : 0;

	return at ? &t->packs[at - 1] : NULL;
}

int pack_table_add(struct pack_table *t, const unsigned char id[PACK_ID_LEN], uint32_t size,
                   uint32_t *ret, struct err *e)
{
	const struct known_pack *known = pack_table_find(t, id);

	if (known) {
		*ret = (uint32_t)(known - t->packs);
		return 0;
	}
	if (t->count == ENGINE_PACKS_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d packs", ENGINE_PACKS_MAX);
	if (2 * (t->count + 1) > t->bucket_count && buckets_grow(t, e) < 0)
		return -1;
	if (t->count == t->size) {
		uint32_t more = t->size ? 2 * t->size : 64;
		struct known_pack *packs = realloc(t->packs, more * sizeof(*packs));

		if (!packs)
			return err_set(e, ERR_INTERNAL, "out of memory");
		t->packs = packs;
		t->size = more;
	}
	assert(t->packs);
	t->packs[t->count] = (struct known_pack){ .size = size };
	memcpy(t->packs[t->count].id, id, PACK_ID_LEN);
	*bucket_of(t, id) = t->count + 1;
	*ret = t->count++;
	return 0;
}

uint32_t pack_table_local(struct pack_table *t, uint32_t pack)
{
	struct known_pack *p = &t->packs[pack];

	if (!p->local)
		p->local = ++t->local_count;
	return p->local - 1;
}

struct manifest_pack *pack_table_export(const struct pack_table *t)
{
	struct manifest_pack *list = mem_array(t->local_count ? t->local_count : 1, sizeof(*list));

	for (uint32_t i = 0; list && i < t->count; i++) {
		const struct known_pack *p = &t->packs[i];

		if (!p->local)
			continue;
		memcpy(list[p->local - 1].id, p->id, PACK_ID_LEN);
		list[p->local - 1].size = p->size;
	}
	return list;
}
