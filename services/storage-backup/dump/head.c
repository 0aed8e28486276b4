#include "dump/dump.h"

#include "format/bytes.h"
#include "format/mem.h"

#define VERSION  1
#define HEAD_MAX (10 + 10 + 10 + DUMP_SCHEMAS_MAX * (DUMP_NAME_SIZE + 10) + 10)
#define PART_MAX (DUMP_NAME_SIZE + 10 + 10 + 32)

void dump_head_done(struct dump_head *h)
{
	free(TAKE(h->parts));
	h->part_count = h->part_size = 0;
}

int dump_head_add(struct dump_head *h, const struct dump_part *part, struct err *e)
{
	if (h->part_count == h->part_size) {
		size_t size = h->part_size ? 2 * h->part_size : 32;
		struct dump_part *more = NULL;

		if (h->part_count >= DUMP_PARTS_MAX)
			return err_set(e, ERR_TOO_LARGE, "more than %d parts", DUMP_PARTS_MAX);
		more = realloc(h->parts, size * sizeof(*more));
		if (!more)
			return err_set(e, ERR_INTERNAL, "out of memory");
		h->parts = more;
		h->part_size = size;
	}
	h->parts[h->part_count++] = *part;
	return 0;
}

int dump_head_encode(const struct dump_head *h, unsigned char **ret, size_t *ret_len, struct err *e)
{
	unsigned char *text = mem_new(HEAD_MAX + h->part_count * PART_MAX);
	struct bytes_to w = { text };

	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	bytes_number(&w, VERSION);
	bytes_number(&w, (uint64_t)h->created_ms);
	bytes_number(&w, h->schema_count);
	for (size_t i = 0; i < h->schema_count; i++) {
		bytes_text(&w, h->schemas[i].service);
		bytes_number(&w, (uint64_t)h->schemas[i].version);
	}
	bytes_number(&w, h->part_count);
	for (size_t i = 0; i < h->part_count; i++) {
		bytes_text(&w, h->parts[i].table);
		bytes_number(&w, h->parts[i].rows);
		bytes_number(&w, h->parts[i].len);
		bytes_raw(&w, h->parts[i].hash, sizeof(h->parts[i].hash));
	}
	*ret = text;
	*ret_len = (size_t)(w.at - text);
	return 0;
}

/* Names of tables and services: letters, digits, _ and -. */
static void take_name(struct bytes_from *r, char ret[DUMP_NAME_SIZE])
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t len = (size_t)bytes_get_max(r, DUMP_NAME_SIZE - 1);
	const unsigned char *at = bytes_take(r, len);

	ret[0] = '\0';
	if (!at || !len) {
		r->is_bad = true;
		return;
	}
	memcpy(ret, at, len);
	ret[len] = '\0';
	if (strspn(ret, good) != len)
		r->is_bad = true;
}

static void take_part(struct bytes_from *r, struct dump_part *ret)
{
	const unsigned char *hash;

	take_name(r, ret->table);
	ret->rows = bytes_get_max(r, UINT32_MAX);
	ret->len = bytes_get_max(r, ENGINE_BLOB_MAX);
	hash = bytes_take(r, sizeof(ret->hash));
	if (hash)
		memcpy(ret->hash, hash, sizeof(ret->hash));
}

static int decode(struct bytes_from *r, struct dump_head *h, struct err *e)
{
	uint64_t version = bytes_get(r), count;

	if (!r->is_bad && version != VERSION)
		return err_set(e, ERR_UPSTREAM, "the dump's format is %llu, known is %d",
		               (unsigned long long)version, VERSION);
	h->created_ms = (long long)bytes_get_max(r, INT64_MAX / 1000000);
	h->schema_count = (size_t)bytes_get_max(r, DUMP_SCHEMAS_MAX);
	for (size_t i = 0; i < h->schema_count; i++) {
		take_name(r, h->schemas[i].service);
		h->schemas[i].version = (long long)bytes_get_max(r, INT32_MAX);
	}
	count = bytes_get_max(r, DUMP_PARTS_MAX);
	for (uint64_t i = 0; i < count && !r->is_bad; i++) {
		struct dump_part part = { .table = "" };

		take_part(r, &part);
		if (!r->is_bad && dump_head_add(h, &part, e) < 0)
			return -1;
	}
	return r->is_bad || r->at != r->end ? err_set(e, ERR_UPSTREAM, "the dump's head is damaged")
	                                    : 0;
}

int dump_head_decode(const void *data, size_t len, struct dump_head *ret, struct err *e)
{
	struct bytes_from r = { data, (const unsigned char *)data + len, false };
	struct dump_head h = { 0 };

	if (decode(&r, &h, e) < 0) {
		dump_head_done(&h);
		return -1;
	}
	*ret = h;
	return 0;
}
