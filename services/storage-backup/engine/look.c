#include "engine/look.h"

#include "format/mem.h"

#include "engine/stream.h"

#include <sodium.h>

#define CONTENT_LEN 16

/* The chunks' ids are keyed hashes of their data, so a hash of them stands for the content. */
static int content_hash(struct stored_manifest *m, uint64_t extents, char ret[33], struct err *e)
{
	unsigned char sum[CONTENT_LEN], hole[9] = { 'H' };
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, sizeof(sum));
	for (uint64_t i = 0; i < extents; i++) {
		struct record x;
		bool is_end = false;

		if (stored_manifest_next(m, &x, &is_end, e) < 0)
			return -1;
		if (x.type == RECORD_CHUNK) {
			crypto_generichash_update(&h, x.id, CHUNK_ID_LEN);
			continue;
		}
		for (int b = 0; b < 8; b++)
			hole[1 + b] = (unsigned char)(x.size >> (8 * b));
		crypto_generichash_update(&h, hole, sizeof(hole));
	}
	crypto_generichash_final(&h, sum, sizeof(sum));
	sodium_bin2hex(ret, 33, sum, sizeof(sum));
	return 0;
}

/* A file may claim any time. */
static long long time_ms(const struct record *r)
{
	const int64_t most_s = INT64_MAX / 1000 - 1;
	int64_t at_s = r->mtime_s > most_s ? most_s : r->mtime_s < -most_s ? -most_s : r->mtime_s;

	return at_s * 1000 + r->mtime_ns / 1000000;
}

int looker_next(struct looker *l, bool *ret_is_end, struct err *e)
{
	struct engine_entry *to = &l->entry;
	struct record r;

	do {
		if (stored_manifest_next(l->m, &r, ret_is_end, e) < 0)
			return -1;
		if (*ret_is_end)
			return 0;
	} while (r.type == RECORD_NOTE);

	memcpy(l->path, r.path, r.path_len);
	l->path[r.path_len] = 0;
	if (r.target_len)
		memcpy(l->target, r.target, r.target_len);
	l->target[r.target_len] = 0;
	*to = (struct engine_entry){ .path = l->path,
		                     .type = r.type == RECORD_DIR    ? 'd'
		                             : r.type == RECORD_LINK ? 'l'
		                                                     : 'f',
		                     .mode = r.mode,
		                     .uid = r.uid,
		                     .gid = r.gid,
		                     .size = (long long)r.size,
		                     .mtime_ms = time_ms(&r),
		                     .target = r.type == RECORD_LINK ? l->target : NULL,
		                     .is_database = r.flags & RECORD_IS_DATABASE,
		                     .was_changing = r.flags & RECORD_WAS_CHANGING };
	if (r.type != RECORD_FILE)
		return 0;
	return content_hash(l->m, r.extents, to->content, e);
}

int engine_list(struct engine *en, const struct engine_ref *ref, const char *under,
                bool (*on_entry)(void *ctx, const struct engine_entry *entry), void *ctx,
                struct err *e)
{
	OWN(stored_manifest) struct stored_manifest m = { 0 };
	OWN(mem) struct looker *l = mem_new(sizeof(*l));

	if (!l)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (stored_manifest_open(en, ref, &m, e) < 0)
		return -1;
	l->m = &m;
	for (;;) {
		bool is_end = false;
		size_t len;

		if (looker_next(l, &is_end, e) < 0)
			return -1;
		if (is_end)
			return 0;
		len = strlen(l->path);
		if (record_path_is_under(l->path, len, under)) {
			if (!on_entry(ctx, &l->entry))
				return 0;
		} else if (record_path_order(l->path, len, under, strlen(under)) > 0) {
			return 0;
		}
	}
}

/* ---- one file's bytes ----------------------------------------------------------------------- */

struct reader {
	const char *path;
	size_t max;
	bool is_found;
	char *text;
	size_t len, size;
};

static bool wants(void *ctx, const struct record *r)
{
	struct reader *to = ctx;

	return r->type == RECORD_FILE && r->path_len == strlen(to->path);
}

static int on_entry(void *ctx, const struct record *r, struct err *e)
{
	struct reader *to = ctx;

	to->is_found = true;
	if (r->size > to->max)
		return err_set(e, ERR_TOO_LARGE, "the file has %llu bytes, more than %zu",
		               (unsigned long long)r->size, to->max);
	to->size = (size_t)r->size;
	to->text = mem_new(to->size + 1);
	return to->text ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static int on_data(void *ctx, const void *data, size_t len, struct err *e)
{
	struct reader *to = ctx;

	if (len > to->size - to->len)
		return err_set(e, ERR_UPSTREAM, "the file is longer than its manifest says");
	memcpy(to->text + to->len, data, len);
	to->len += len;
	return 0;
}

static int on_hole(void *ctx, uint64_t len, struct err *e)
{
	struct reader *to = ctx;

	if (len > to->size - to->len)
		return err_set(e, ERR_UPSTREAM, "the file is longer than its manifest says");
	to->len += (size_t)len;
	return 0;
}

int engine_read(struct engine *en, const struct engine_ref *ref, const char *path, size_t max,
                char **ret, size_t *ret_len, struct err *e)
{
	OWN(stored_manifest) struct stored_manifest m = { 0 };
	struct reader to = { .path = path, .max = max };
	struct stream_sink sink = { .wants = wants,
		                    .on_entry = on_entry,
		                    .on_data = on_data,
		                    .on_hole = on_hole,
		                    .ctx = &to };
	struct pulse pulse = { 0 };
	OWN(mem) char *text = NULL;
	int r;

	if (!record_path_is_valid(path, strlen(path)))
		return err_field(e, "path", "is no path of a backup");
	if (stored_manifest_open(en, ref, &m, e) < 0)
		return -1;
	r = stream_run(en, &m, path, &sink, &pulse, e);
	text = to.text;
	if (r < 0)
		return -1;
	if (!to.is_found)
		return err_set(e, ERR_NOT_FOUND, "no such file in this backup: %.120s", path);
	*ret_len = to.len;
	*ret = TAKE(text);
	return 0;
}
