#include "engine/chunk_index.h"

#include "format/mem.h"

#include <pthread.h>

#define SLOTS_FIRST ((uint64_t)1 << 14)

struct slot {
	unsigned char id[CHUNK_ID_LEN];
	struct chunk_place place;
	uint32_t is_used;
	uint32_t unused[3];
};

_Static_assert(sizeof(struct slot) == 64, "a slot is one line");

struct chunk_index {
	pthread_mutex_t lock;
	const struct engine *en;
	int fd;
	uint64_t slots, used;
};

int chunk_index_new(const struct engine *en, struct chunk_index **ret, struct err *e)
{
	struct chunk_index *x = mem_new(sizeof(*x));

	if (!x)
		return err_set(e, ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&x->lock, NULL);
	x->en = en;
	x->slots = SLOTS_FIRST;
	x->fd = scratch_file(en, e);
	if (x->fd < 0 || ftruncate(x->fd, (off_t)(x->slots * sizeof(struct slot))) < 0) {
		if (x->fd >= 0)
			file_error(e, "scratch file");
		chunk_index_free(x);
		return -1;
	}
	*ret = x;
	return 0;
}

void chunk_index_free(struct chunk_index *x)
{
	if (!x)
		return;
	if (x->fd >= 0)
		close(x->fd);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

/* Ids are keyed hashes: any of their bits are as good as a hash of them. */
static uint64_t first_slot(const unsigned char *id, uint64_t slots)
{
	uint64_t v;

	memcpy(&v, id, sizeof(v));
	return v & (slots - 1);
}

/* The slot that holds the id, or the free one where it belongs. */
static int slot_find(int fd, uint64_t slots, const unsigned char *id, uint64_t *ret_at,
                     struct slot *ret, struct err *e)
{
	for (uint64_t at = first_slot(id, slots);; at = (at + 1) & (slots - 1)) {
		if (pread(fd, ret, sizeof(*ret), (off_t)(at * sizeof(*ret))) != sizeof(*ret))
			return file_error(e, "scratch file");
		if (!ret->is_used || memcmp(ret->id, id, CHUNK_ID_LEN) == 0) {
			*ret_at = at;
			return 0;
		}
	}
}

static int slot_write(int fd, uint64_t at, const struct slot *s, struct err *e)
{
	if (pwrite(fd, s, sizeof(*s), (off_t)(at * sizeof(*s))) != sizeof(*s))
		return file_error(e, "scratch file");
	return 0;
}

static int copy_slots(const struct chunk_index *x, int to, uint64_t slots, struct err *e)
{
	for (uint64_t i = 0; i < x->slots; i++) {
		struct slot s, other;
		uint64_t at;

		if (pread(x->fd, &s, sizeof(s), (off_t)(i * sizeof(s))) != sizeof(s))
			return file_error(e, "scratch file");
		if (s.is_used && (slot_find(to, slots, s.id, &at, &other, e) < 0 ||
		                  slot_write(to, at, &s, e) < 0))
			return -1;
	}
	return 0;
}

static int grow(struct chunk_index *x, struct err *e)
{
	uint64_t slots = 4 * x->slots;
	OWN(fd) int fd = scratch_file(x->en, e);
	int old = x->fd;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)(slots * sizeof(struct slot))) < 0)
		return file_error(e, "scratch file");
	if (copy_slots(x, fd, slots, e) < 0)
		return -1;
	x->fd = dup(fd);
	if (x->fd < 0) {
		x->fd = old;
		return file_error(e, "scratch file");
	}
	close(old);
	x->slots = slots;
	return 0;
}

static int put(struct chunk_index *x, const unsigned char *id, const struct chunk_place *place,
               bool *ret_is_new, struct err *e)
{
	struct slot s;
	uint64_t at;

	if (2 * (x->used + 1) > x->slots && grow(x, e) < 0)
		return -1;
	if (slot_find(x->fd, x->slots, id, &at, &s, e) < 0)
		return -1;
	if (ret_is_new)
		*ret_is_new = !s.is_used;
	x->used += !s.is_used;
	s = (struct slot){ .place = *place, .is_used = 1 };
	memcpy(s.id, id, CHUNK_ID_LEN);
	return slot_write(x->fd, at, &s, e);
}

int chunk_index_put(struct chunk_index *x, const unsigned char id[CHUNK_ID_LEN],
                    const struct chunk_place *place, bool *ret_is_new, struct err *e)
{
	int r;

	pthread_mutex_lock(&x->lock);
	r = put(x, id, place, ret_is_new, e);
	pthread_mutex_unlock(&x->lock);
	return r;
}

int chunk_index_get(struct chunk_index *x, const unsigned char id[CHUNK_ID_LEN], bool *ret_found,
                    struct chunk_place *ret, struct err *e)
{
	struct slot s;
	uint64_t at;
	int r;

	pthread_mutex_lock(&x->lock);
	r = slot_find(x->fd, x->slots, id, &at, &s, e);
	pthread_mutex_unlock(&x->lock);
	if (r < 0)
		return -1;
	*ret_found = s.is_used;
	if (s.is_used)
		*ret = s.place;
	return 0;
}
