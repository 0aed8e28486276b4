#include "format/manifest_segment.h"

#include "format/mem.h"

#define PACK_ROW   (PACK_ID_LEN + 4)
#define READ_BYTES (256 << 10)

_Static_assert(READ_BYTES >= 4 + SEGMENT_SEALED_MAX + 8, "a segment fits the buffer");

struct manifest_reader {
	struct segment_codec codec;
	struct manifest_source source;
	const struct keys *keys;
	struct manifest_head head;
	struct manifest_pack *packs;

	/* what was read of the object and is not used yet */
	long long offset; /* of the bytes behind the buffer */
	unsigned char *buf;
	size_t at, end;

	uint64_t segment; /* of entries, the next one */
	struct bytes_from records;
	/* what the order of records is checked against */
	uint64_t extents_left, bytes_left;
	char path[RECORD_PATH_MAX];
	size_t path_len;
	unsigned char text[MANIFEST_SEGMENT_MAX];
};

static int damaged(struct err *e, const char *what)
{
	return err_set(e, ERR_UPSTREAM, "the manifest is damaged: %s", what);
}

/* At least len bytes into the buffer, where the object has them. */
static int fill(struct manifest_reader *m, size_t len, struct err *e)
{
	while (m->end - m->at < len) {
		size_t got = 0;

		memmove(m->buf, m->buf + m->at, m->end - m->at);
		m->end -= m->at;
		m->at = 0;
		if (m->source.read(m->source.ctx, m->offset, m->buf + m->end, READ_BYTES - m->end,
		                   &got, e) < 0)
			return -1;
		if (!got)
			return 0;
		m->offset += (long long)got;
		m->end += got;
	}
	return 0;
}

static int segment_read(struct manifest_reader *m, enum segment_section section, uint64_t number,
                        unsigned char *to, size_t *ret_len, struct err *e)
{
	size_t len;

	if (fill(m, 4, e) < 0)
		return -1;
	if (m->end - m->at < 4)
		return damaged(e, "it ends early");
	len = bytes_get32(m->buf + m->at);
	if (len > SEGMENT_SEALED_MAX)
		return damaged(e, "a segment is too long");
	m->at += 4;
	if (fill(m, len, e) < 0)
		return -1;
	if (m->end - m->at < len)
		return damaged(e, "it ends early");
	memcpy(m->codec.sealed, m->buf + m->at, len);
	m->at += len;
	return segment_open(&m->codec, section, number, len, to, ret_len, e);
}

static void id_read(struct bytes_from *from, char ret[MANIFEST_ID_SIZE])
{
	size_t len = (size_t)bytes_get_max(from, MANIFEST_ID_SIZE - 1);
	const unsigned char *at = bytes_take(from, len);

	if (len != MANIFEST_ID_SIZE - 1 || !at || memchr(at, 0, len)) {
		from->is_bad = true;
		return;
	}
	memcpy(ret, at, len);
	ret[len] = 0;
}

static int head_read(struct manifest_reader *m, struct err *e)
{
	struct manifest_head *h = &m->head;
	struct bytes_from from;
	size_t len = 0;

	if (segment_read(m, SEGMENT_TOP, 0, m->text, &len, e) < 0)
		return -1;
	from = (struct bytes_from){ m->text, m->text + len, false };
	id_read(&from, h->user_id);
	id_read(&from, h->instance_id);
	id_read(&from, h->backup_id);
	h->is_full = bytes_get_max(&from, 1);
	h->created_ms = bytes_get_max(&from, INT64_MAX);
	h->files = bytes_get_max(&from, INT64_MAX);
	h->dirs = bytes_get_max(&from, INT64_MAX);
	h->links = bytes_get_max(&from, INT64_MAX);
	h->notes = bytes_get_max(&from, INT64_MAX);
	h->bytes = bytes_get_max(&from, INT64_MAX);
	h->chunks = bytes_get_max(&from, INT64_MAX);
	h->chunks_new = bytes_get_max(&from, INT64_MAX);
	h->bytes_stored = bytes_get_max(&from, INT64_MAX);
	h->packs = (uint32_t)bytes_get_max(&from, MANIFEST_PACKS_MAX);
	h->pack_segments = (uint32_t)bytes_get_max(&from, MANIFEST_PACKS_MAX);
	h->entry_segments = bytes_get_max(&from, INT64_MAX);
	if (from.is_bad || from.at != from.end)
		return damaged(e, "its head");
	if (strcmp(h->user_id, m->keys->user_id) != 0 ||
	    strcmp(h->backup_id, m->codec.backup_id) != 0)
		return damaged(e, "it is another backup's");
	return 0;
}

static int packs_read(struct manifest_reader *m, struct err *e)
{
	uint32_t done = 0;

	m->packs = mem_array(m->head.packs ? m->head.packs : 1, sizeof(*m->packs));
	if (!m->packs)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (uint32_t number = 0; number < m->head.pack_segments; number++) {
		size_t len = 0;

		if (segment_read(m, SEGMENT_PACKS, number, m->text, &len, e) < 0)
			return -1;
		if (len % PACK_ROW != 0 || len / PACK_ROW > m->head.packs - done)
			return damaged(e, "its table of packs");
		for (size_t i = 0; i < len / PACK_ROW; i++, done++) {
			memcpy(m->packs[done].id, m->text + i * PACK_ROW, PACK_ID_LEN);
			m->packs[done].size = bytes_get32(m->text + i * PACK_ROW + PACK_ID_LEN);
		}
	}
	return done == m->head.packs ? 0 : damaged(e, "its table of packs");
}

static void key_take(struct manifest_reader *m, const struct manifest_opt *opt,
                     const struct keys *k, const unsigned char salt[SEGMENT_SALT_LEN])
{
	m->keys = k;
	memcpy(m->codec.user_id, k->user_id, MANIFEST_ID_SIZE);
	snprintf(m->codec.backup_id, sizeof(m->codec.backup_id), "%s", opt->backup_id);
	keys_of_one(k->manifest, salt, m->codec.backup_id, m->codec.key);
}

/* No key has its tag. Where one opens the head all the same, it is the tag that is damaged. */
static bool opens_anyway(struct manifest_reader *m, const struct manifest_opt *opt)
{
	size_t len = m->end >= SEGMENT_HEAD + 4 ? bytes_get32(m->buf + SEGMENT_HEAD) : SIZE_MAX;

	if (len > SEGMENT_SEALED_MAX || m->end - SEGMENT_HEAD - 4 < len)
		return false;
	for (size_t i = 0; i < opt->key_count; i++) {
		struct err ignored = ERR_INIT;
		size_t got = 0;

		key_take(m, opt, &opt->keys[i], m->buf + 16);
		memcpy(m->codec.sealed, m->buf + SEGMENT_HEAD + 4, len);
		if (segment_open(&m->codec, SEGMENT_TOP, 0, len, m->text, &got, &ignored) == 0)
			return true;
	}
	m->keys = NULL;
	return false;
}

static int start_read(struct manifest_reader *m, const struct manifest_opt *opt, struct err *e)
{
	if (fill(m, SEGMENT_HEAD, e) < 0)
		return -1;
	if (m->end < SEGMENT_HEAD || memcmp(m->buf, SEGMENT_MAGIC, 8) != 0)
		return damaged(e, "it does not begin as one");
	for (size_t i = 0; i < opt->key_count && !m->keys; i++)
		if (memcmp(m->buf + 8, opt->keys[i].tag, 8) == 0)
			key_take(m, opt, &opt->keys[i], m->buf + 16);
	if (!m->keys && opens_anyway(m, opt))
		return damaged(e, "its key's tag");
	if (!m->keys)
		return err_set(
			e, ERR_FORBIDDEN,
			"the manifest was made with another ENCRYPTION_KEY, or is another's");
	m->at = SEGMENT_HEAD;
	return 0;
}

int manifest_open(const struct manifest_opt *opt, struct manifest_reader **ret, struct err *e)
{
	OWN(manifest_reader) struct manifest_reader *m = mem_new(sizeof(*m));

	if (!m)
		return err_set(e, ERR_INTERNAL, "out of memory");
	m->source = opt->source;
	m->buf = mem_new(READ_BYTES);
	if (!m->buf)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (segment_codec_init(&m->codec, false, e) < 0 || start_read(m, opt, e) < 0 ||
	    head_read(m, e) < 0 || (!opt->is_head_only && packs_read(m, e) < 0))
		return -1;
	*ret = TAKE(m);
	return 0;
}

void manifest_close(struct manifest_reader *m)
{
	if (!m)
		return;
	segment_codec_done(&m->codec);
	free(m->packs);
	free(m->buf);
	free(m);
}

const struct manifest_head *manifest_head(const struct manifest_reader *m)
{
	return &m->head;
}

const struct manifest_pack *manifest_packs(const struct manifest_reader *m)
{
	return m->packs;
}

const struct keys *manifest_keys(const struct manifest_reader *m)
{
	return m->keys;
}

static bool place_is_possible(const struct manifest_reader *m, const struct chunk_place *p)
{
	return p->pack < m->head.packs &&
	       (uint64_t)p->offset + p->len + PACK_INDEX_ADD <= m->packs[p->pack].size;
}

/* What the contract says about order. */
static bool is_in_order(struct manifest_reader *m, const struct record *r)
{
	uint64_t len;

	switch (r->type) {
	case RECORD_CHUNK:
	case RECORD_HOLE:
		len = r->type == RECORD_HOLE ? r->size : r->place.plain_len;
		if (!m->extents_left || len > m->bytes_left ||
		    (r->type == RECORD_CHUNK && !place_is_possible(m, &r->place)))
			return false;
		m->extents_left--;
		m->bytes_left -= len;
		return m->extents_left || !m->bytes_left;
	case RECORD_NOTE:
		return !m->extents_left;
	default:
		if (m->extents_left ||
		    (m->path_len &&
		     record_path_order(m->path, m->path_len, r->path, r->path_len) >= 0))
			return false;
		memcpy(m->path, r->path, r->path_len);
		m->path_len = r->path_len;
		m->extents_left = r->extents;
		m->bytes_left = r->size;
		return m->extents_left || !m->bytes_left;
	}
}

int manifest_next(struct manifest_reader *m, struct record *ret, bool *ret_is_end, struct err *e)
{
	while (!record_read(&m->records, ret)) {
		size_t len = 0;

		if (m->records.is_bad)
			return damaged(e, "a record");
		if (m->segment == m->head.entry_segments) {
			if (fill(m, 1, e) < 0)
				return -1;
			if (m->at != m->end || m->extents_left)
				return damaged(e, "its end");
			*ret_is_end = true;
			return 0;
		}
		if (segment_read(m, SEGMENT_ENTRIES, m->segment, m->text, &len, e) < 0)
			return -1;
		m->segment++;
		m->records = (struct bytes_from){ m->text, m->text + len, false };
	}
	if (!is_in_order(m, ret))
		return damaged(e, "records out of order");
	*ret_is_end = false;
	return 0;
}
