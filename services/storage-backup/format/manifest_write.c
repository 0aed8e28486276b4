#include "format/manifest_segment.h"

#include "format/mem.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

#define COPY_BYTES (256 << 10)
#define PACK_ROW   (PACK_ID_LEN + 4)
#define HEAD_MAX   512

struct manifest_writer {
	struct segment_codec codec;
	unsigned char start[SEGMENT_HEAD];
	int scratch;
	uint64_t segments;
	size_t used;
	unsigned char records[MANIFEST_SEGMENT_MAX];
};

int manifest_writer_new(const struct keys *k, const struct manifest_head *head, int scratch,
                        struct manifest_writer **ret, struct err *e)
{
	OWN(manifest_writer) struct manifest_writer *w = mem_new(sizeof(*w));

	if (!w)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (segment_codec_init(&w->codec, true, e) < 0)
		return -1;
	memcpy(w->start, SEGMENT_MAGIC, 8);
	memcpy(w->start + 8, k->tag, 8);
	randombytes_buf(w->start + 16, SEGMENT_SALT_LEN);
	memcpy(w->codec.user_id, head->user_id, MANIFEST_ID_SIZE);
	memcpy(w->codec.backup_id, head->backup_id, MANIFEST_ID_SIZE);
	keys_of_one(k->manifest, w->start + 16, head->backup_id, w->codec.key);
	w->scratch = scratch;
	*ret = TAKE(w);
	return 0;
}

void manifest_writer_free(struct manifest_writer *w)
{
	if (!w)
		return;
	segment_codec_done(&w->codec);
	free(w);
}

static int write_all(int fd, const void *data, size_t len, struct err *e)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e,
			               errno == ENOSPC || errno == EFBIG ? ERR_QUOTA : ERR_INTERNAL,
			               "scratch file: %s", strerrordesc_np(errno));
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int segment_write(struct manifest_writer *w, enum segment_section section, uint64_t number,
                         size_t len, int fd, struct err *e)
{
	size_t sealed = segment_seal(&w->codec, section, number, w->records, len);

	if (!sealed)
		return err_set(e, ERR_INTERNAL, "zstd: out of memory");
	return write_all(fd, w->codec.sealed, sealed, e);
}

static int entries_flush(struct manifest_writer *w, struct err *e)
{
	if (!w->used)
		return 0;
	if (segment_write(w, SEGMENT_ENTRIES, w->segments, w->used, w->scratch, e) < 0)
		return -1;
	w->segments++;
	w->used = 0;
	return 0;
}

int manifest_write(struct manifest_writer *w, const struct record *r, struct err *e)
{
	if (r->path_len > RECORD_PATH_MAX || r->target_len > RECORD_PATH_MAX)
		return err_set(e, ERR_TOO_LARGE, "a path is longer than %d bytes", RECORD_PATH_MAX);
	if (w->used + RECORD_MAX > sizeof(w->records) && entries_flush(w, e) < 0)
		return -1;
	w->used += record_write(r, w->records + w->used);
	return 0;
}

static size_t head_write(const struct manifest_head *h, unsigned char *to)
{
	struct bytes_to w = { to };
	const uint64_t numbers[] = { h->is_full,       h->created_ms,   h->files, h->dirs,
		                     h->links,         h->notes,        h->bytes, h->chunks,
		                     h->chunks_new,    h->bytes_stored, h->packs, h->pack_segments,
		                     h->entry_segments };

	bytes_text(&w, h->user_id);
	bytes_text(&w, h->instance_id);
	bytes_text(&w, h->backup_id);
	for (size_t i = 0; i < COUNT(numbers); i++)
		bytes_number(&w, numbers[i]);
	return (size_t)(w.at - to);
}

static int packs_write(struct manifest_writer *w, const struct manifest_head *head,
                       const struct manifest_pack *packs, int out, struct err *e)
{
	size_t per_segment = sizeof(w->records) / PACK_ROW;
	uint32_t done = 0;

	for (uint32_t number = 0; number < head->pack_segments; number++) {
		unsigned char *at = w->records;

		for (size_t i = 0; i < per_segment && done < head->packs; i++, done++) {
			memcpy(at, packs[done].id, PACK_ID_LEN);
			bytes_put32(at + PACK_ID_LEN, packs[done].size);
			at += PACK_ROW;
		}
		if (segment_write(w, SEGMENT_PACKS, number, (size_t)(at - w->records), out, e) < 0)
			return -1;
	}
	return 0;
}

static int entries_copy(struct manifest_writer *w, int out, struct err *e)
{
	OWN(mem) char *buf = mem_new(COPY_BYTES);
	off_t at = 0;

	if (!buf)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (;;) {
		ssize_t n = pread(w->scratch, buf, COPY_BYTES, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, ERR_INTERNAL, "scratch file: %s", strerrordesc_np(errno));
		if (n == 0)
			return 0;
		if (write_all(out, buf, (size_t)n, e) < 0)
			return -1;
		at += n;
	}
}

int manifest_finish(struct manifest_writer *w, struct manifest_head *head,
                    const struct manifest_pack *packs, int out, struct err *e)
{
	size_t per_segment = sizeof(w->records) / PACK_ROW;
	off_t entries;

	if (head->packs > MANIFEST_PACKS_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d packs", MANIFEST_PACKS_MAX);
	if (entries_flush(w, e) < 0)
		return -1;
	entries = lseek(w->scratch, 0, SEEK_CUR);
	head->entry_segments = w->segments;
	head->pack_segments = (uint32_t)((head->packs + per_segment - 1) / per_segment);
	/* Head and table are not counted to the byte: their own size depends on what they say. */
	head->bytes_stored += (uint64_t)entries + (uint64_t)head->packs * PACK_ROW + HEAD_MAX;

	if (write_all(out, w->start, sizeof(w->start), e) < 0 ||
	    segment_write(w, SEGMENT_TOP, 0, head_write(head, w->records), out, e) < 0 ||
	    packs_write(w, head, packs, out, e) < 0)
		return -1;
	return entries_copy(w, out, e);
}
