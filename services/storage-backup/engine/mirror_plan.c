#include "engine/mirror_internal.h"

#include "format/mem.h"

#include <errno.h>
#include <sodium.h>

/* What a mirror's pass has to do: the lists of what goes and what is put. */

#define FILES_KNOWN_MAX \
	(2 << 20) /* 16 MiB of hashes; past it all that lies there counts as stray */

/* ---- lists in scratch files ------------------------------------------------------------------- */

int mirror_list_new(const struct engine *en, FILE **ret, struct err *e)
{
	int fd = scratch_file(en, e);

	if (fd < 0)
		return -1;
	*ret = fdopen(fd, "w+");
	if (*ret)
		return 0;
	close(fd);
	return err_set(e, ERR_INTERNAL, "out of memory");
}

bool mirror_list_add(FILE *list, const char *text)
{
	return fwrite(text, 1, strlen(text) + 1, list) == strlen(text) + 1;
}

int mirror_list_end(FILE *list, struct err *e)
{
	if (fflush(list) != 0 || ferror(list))
		return file_error(e, "scratch file");
	rewind(list);
	return 0;
}

int mirror_list_next(FILE *list, char *to, size_t size, bool *ret_is_end, struct err *e)
{
	size_t len = 0;
	int c;

	while ((c = getc(list)) > 0 && len < size - 1)
		to[len++] = (char)c;
	to[len] = 0;
	*ret_is_end = c == EOF;
	return c > 0 || ferror(list) ? err_set(e, ERR_INTERNAL, "a scratch file is not as written")
	                             : 0;
}

/* ---- names ------------------------------------------------------------------------------------- */

enum mirror_fit mirror_key(const struct mirror *m, const char *path, struct key_text *ret)
{
	const char *why;

	if (mirror_is_left_out(path, &why))
		return MIRROR_LEFT_OUT;
	if (strlen(m->prefix.text) + strlen(path) >= sizeof(ret->text))
		return MIRROR_UNFIT;
	memcpy(stpcpy(ret->text, m->prefix.text), path, strlen(path) + 1);
	return storage_is_key(m->en->storage, ret->text) ? MIRROR_FITS : MIRROR_UNFIT;
}

/* ---- from one backup to the next ---------------------------------------------------------------- */

static bool on_change(void *ctx, const struct engine_change *c)
{
	struct mirror *m = ctx;
	bool was = c->before && c->before->type == 'f', is = c->after && c->after->type == 'f';
	const char *path = is ? c->after->path : was ? c->before->path : "";
	struct key_text key;

	if (is)
		return !c->is_content || mirror_list_add(m->puts, path);
	return !was || mirror_key(m, path, &key) != MIRROR_FITS ||
	       mirror_list_add(m->deletes, key.text);
}

int mirror_plan_by_diff(struct mirror *m, struct err *e)
{
	const struct mirror_req *req = m->req;
	struct engine_diff_req diff = { .ref = { req->place.user_id, req->place.instance_id,
		                                 req->held_id },
		                        .with_backup_id = req->backup_id,
		                        .under = "",
		                        .on_change = on_change,
		                        .ctx = m };

	if (mirror_list_new(m->en, &m->puts, e) < 0 || engine_diff(m->en, &diff, e) < 0 ||
	    mirror_list_end(m->puts, e) < 0)
		return -1;
	return mirror_list_end(m->deletes, e);
}

/* ---- whatever lies there ------------------------------------------------------------------------- */

struct hashes {
	unsigned char key[crypto_shorthash_KEYBYTES];
	uint64_t *list;
	size_t count, size;
};

static void own_hashes(struct hashes *h)
{
	free(h->list);
}

static uint64_t hash_of(const struct hashes *h, const char *key)
{
	uint64_t sum;

	crypto_shorthash((unsigned char *)&sum, (const unsigned char *)key, strlen(key), h->key);
	return sum;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int hashes_add(struct hashes *h, const char *key, struct err *e)
{
	if (h->count == h->size) {
		size_t size = h->size ? 2 * h->size : 1024;
		uint64_t *more = realloc(h->list, size * sizeof(*more));

		if (!more)
			return err_set(e, ERR_INTERNAL, "out of memory");
		h->list = more;
		h->size = size;
	}
	h->list[h->count++] = hash_of(h, key);
	return 0;
}

/* Of all objects that there are to be. */
static int hashes_make(struct mirror *m, struct hashes *h, struct err *e)
{
	const struct engine_ref ref = { m->req->place.user_id, m->req->place.instance_id,
		                        m->req->backup_id };
	OWN(stored_manifest) struct stored_manifest manifest = { 0 };
	char path[RECORD_PATH_MAX + 1];

	randombytes_buf(h->key, sizeof(h->key));
	if (stored_manifest_open(m->en, &ref, &manifest, e) < 0)
		return -1;
	for (;;) {
		struct key_text key;
		struct record r;
		bool is_end = false;

		if (pulse_tell(&m->pulse, false, e) < 0 ||
		    stored_manifest_next(&manifest, &r, &is_end, e) < 0)
			return -1;
		if (is_end || h->count == FILES_KNOWN_MAX)
			break;
		if (r.type != RECORD_FILE)
			continue;
		memcpy(path, r.path, r.path_len);
		path[r.path_len] = 0;
		if (mirror_key(m, path, &key) == MIRROR_FITS && hashes_add(h, key.text, e) < 0)
			return -1;
	}
	if (h->count == FILES_KNOWN_MAX)
		h->count = 0;
	if (h->count)
		qsort(h->list, h->count, sizeof(*h->list), by_value);
	return 0;
}

struct strays {
	struct mirror *m;
	const struct hashes *known; /* NULL: none */
	struct err failure;
};

static bool on_object(void *ctx, const struct storage_object *object)
{
	struct strays *s = ctx;

	if (pulse_tell(&s->m->pulse, false, &s->failure) < 0)
		return false;
	if (s->known && s->known->count) {
		uint64_t sum = hash_of(s->known, object->key);

		if (bsearch(&sum, s->known->list, s->known->count, sizeof(sum), by_value))
			return true;
	}
	if (mirror_list_add(s->m->deletes, object->key))
		return true;
	file_error(&s->failure, "scratch file");
	return false;
}

static int list_strays(struct mirror *m, const struct hashes *known, struct err *e)
{
	static const char *const roots[] = { ".openclaw/", "workspace/" };
	struct strays s = { m, known, ERR_INIT };
	struct storage_list_to to = { .on_object = on_object, .ctx = &s };

	for (size_t i = 0; i < COUNT(roots); i++) {
		struct key_text prefix = m->prefix;

		memcpy(prefix.text + strlen(m->prefix.text), roots[i], strlen(roots[i]) + 1);
		if (storage_list(m->en->storage, prefix.text, &to, e) < 0)
			return -1;
		if (s.failure.code) {
			*e = s.failure;
			return -1;
		}
	}
	return mirror_list_end(m->deletes, e);
}

int mirror_plan_by_listing(struct mirror *m, struct err *e)
{
	__attribute__((cleanup(own_hashes))) struct hashes known = { .list = NULL };

	if (m->puts)
		fclose(TAKE(m->puts));
	return hashes_make(m, &known, e) < 0 ? -1 : list_strays(m, &known, e);
}

int mirror_list_all(struct mirror *m, struct err *e)
{
	return list_strays(m, NULL, e);
}
