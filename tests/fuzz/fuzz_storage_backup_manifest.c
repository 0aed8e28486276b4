/* Manifests as a store may give them, as they come; and any records in a segment that is sealed well,
 * as one who has the key might write them: what is accepted can be written again and is the same. */

#include "format/manifest_segment.h"

#include <sodium.h>

#define BACKUP "22222222-2222-4222-8222-222222222222"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keys keys;

struct bytes {
	const uint8_t *data;
	size_t len;
};

static int read_bytes(void *ctx, long long offset, void *buf, size_t len, size_t *ret_len,
                      struct err *e)
{
	const struct bytes *b = ctx;
	size_t left = (size_t)offset < b->len ? b->len - (size_t)offset : 0;

	(void)e;
	*ret_len = len < left ? len : left;
	memcpy(buf, b->data + (left ? offset : 0), *ret_len);
	return 0;
}

static bool read_all(const struct bytes *b)
{
	struct manifest_opt opt = { &keys, 1, BACKUP, false, { read_bytes, (void *)b } };
	OWN(manifest_reader) struct manifest_reader *m = NULL;
	struct err e = ERR_INIT;
	struct record r;
	bool is_end = false;

	if (manifest_open(&opt, &m, &e) < 0)
		return false;
	while (!is_end)
		if (manifest_next(m, &r, &is_end, &e) < 0)
			return false;
	return true;
}

static void records(const uint8_t *data, size_t size)
{
	static unsigned char again[RECORD_MAX];
	struct bytes_from from = { data, data + size, false };
	const unsigned char *start = from.at;
	struct record r;

	while (record_read(&from, &r)) {
		size_t len = record_write(&r, again);

		if (len != (size_t)(from.at - start) || memcmp(again, start, len) != 0)
			abort();
		start = from.at;
	}
}

/* head, packs, entries: three stretches of the input, each sealed as what it stands for. */
static void sealed_well(const uint8_t *data, size_t size)
{
	static unsigned char object[SEGMENT_HEAD + 3 * (4 + SEGMENT_SEALED_MAX)];
	struct segment_codec c = { 0 };
	struct err e = ERR_INIT;
	size_t len = SEGMENT_HEAD, part = size / 3;

	if (size < 3 || size > MANIFEST_SEGMENT_MAX || segment_codec_init(&c, true, &e) < 0)
		return;
	memcpy(object, SEGMENT_MAGIC, 8);
	memcpy(object + 8, keys.tag, 8);
	memset(object + 16, 7, SEGMENT_SALT_LEN);
	memcpy(c.user_id, keys.user_id, MANIFEST_ID_SIZE);
	memcpy(c.backup_id, BACKUP, MANIFEST_ID_SIZE);
	keys_of_one(keys.manifest, object + 16, BACKUP, c.key);
	for (int i = 0; i < 3; i++) {
		size_t sealed = segment_seal(&c, (enum segment_section)(SEGMENT_TOP + i), 0,
		                             data + (size_t)i * part, part);

		memcpy(object + len, c.sealed, sealed);
		len += sealed;
	}
	read_all(&(struct bytes){ object, len });
	segment_codec_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!keys.gear[0] && sodium_init() < 0)
		abort();
	if (!keys.gear[0])
		keys_derive("0123456789abcdef0123456789abcdef",
		            "11111111-1111-4111-8111-111111111111", &keys);
	if (read_all(&(struct bytes){ data, size }))
		abort();
	records(data, size);
	sealed_well(data, size);
	return 0;
}
