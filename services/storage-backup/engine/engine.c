#include "engine/internal.h"

#include "format/mem.h"

#include "base/clock.h"
#include "base/uuid.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

#define PULSE_MS 50

#define NO_SCRATCH "/dev/null/scratch" /* nothing is ever there */
static long long now_ms(void)
{
	return clock_now_ms() + fault_later_ms();
}

int engine_open(const struct engine_opt *opt, struct engine **ret, struct err *e)
{
	OWN(engine) struct engine *en = NULL;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (sodium_init() < 0)
		return err_set(e, ERR_UNAVAILABLE, "libsodium does not start");
	if (opt->scratch_dir && scratch_make(opt->scratch_dir, e) < 0)
		return -1;
	en = mem_new(sizeof(*en));
	if (!en)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (; opt->secrets[en->secret_count]; en->secret_count++) {
		const char *secret = opt->secrets[en->secret_count];

		if (en->secret_count == SECRETS_MAX || strlen(secret) < KEYS_SECRET_MIN)
			return err_field(e, "ENCRYPTION_KEY",
			                 "must have at least %d characters, and at most %d keys",
			                 KEYS_SECRET_MIN, SECRETS_MAX);
		en->secrets[en->secret_count] = strdup(secret);
		if (!en->secrets[en->secret_count])
			return err_set(e, ERR_INTERNAL, "out of memory");
	}
	if (!en->secret_count)
		return err_field(e, "ENCRYPTION_KEY", "is missing");
	en->scratch_dir = strdup(opt->scratch_dir ? opt->scratch_dir : NO_SCRATCH);
	if (!en->scratch_dir)
		return err_set(e, ERR_INTERNAL, "out of memory");
	en->storage = opt->storage;
	en->workers = opt->workers ? opt->workers : (int)cores;
	if (en->workers < 1 || en->workers > WORKERS_MAX)
		en->workers = en->workers < 1 ? 1 : WORKERS_MAX;
	en->now_ms = opt->now_ms ? opt->now_ms : now_ms;
	*ret = TAKE(en);
	return 0;
}

void engine_close(struct engine *en)
{
	if (!en)
		return;
	for (size_t i = 0; i < en->secret_count; i++) {
		sodium_memzero(en->secrets[i], strlen(en->secrets[i]));
		free(en->secrets[i]);
	}
	free(en->scratch_dir);
	free(en);
}

int key_ring_new(const struct engine *en, const char *user_id, struct key_ring **ret, struct err *e)
{
	struct key_ring *k = mem_new(sizeof(*k) + en->secret_count * sizeof(k->keys[0]));

	if (!k)
		return err_set(e, ERR_INTERNAL, "out of memory");
	k->count = en->secret_count;
	for (size_t i = 0; i < k->count; i++)
		keys_derive(en->secrets[i], user_id, &k->keys[i]);
	*ret = k;
	return 0;
}

void key_ring_free(struct key_ring *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->count; i++)
		keys_done(&k->keys[i]);
	free(k);
}

int ref_check(const struct engine_ref *ref, struct err *e)
{
	if (!ref->user_id || !uuid_is_valid(ref->user_id))
		return err_field(e, "user_id", "is no UUID");
	if (ref->instance_id && !uuid_is_valid(ref->instance_id))
		return err_field(e, "instance_id", "is no UUID");
	if (!ref->backup_id || !uuid_is_valid(ref->backup_id))
		return err_field(e, "backup_id", "is no UUID");
	return 0;
}

struct key_text key_of_user(const char *user_id)
{
	struct key_text k;

	snprintf(k.text, sizeof(k.text), "users/%s/", user_id);
	return k;
}

struct key_text key_of_manifests(const char *user_id)
{
	struct key_text k;

	snprintf(k.text, sizeof(k.text), "users/%s/backups/", user_id);
	return k;
}

struct key_text key_of_manifest(const char *user_id, const char *backup_id)
{
	struct key_text k;

	snprintf(k.text, sizeof(k.text), "users/%s/backups/%s.manifest", user_id, backup_id);
	return k;
}

struct key_text key_of_packs(const char *user_id)
{
	struct key_text k;

	snprintf(k.text, sizeof(k.text), "users/%s/chunks/", user_id);
	return k;
}

struct key_text key_of_pack(const char *user_id, const unsigned char id[PACK_ID_LEN])
{
	struct key_text k = key_of_packs(user_id);
	size_t len = strlen(k.text);

	pack_id_text(id, k.text + len);
	return k;
}

struct key_text key_of_condemned(const char *user_id)
{
	struct key_text k;

	snprintf(k.text, sizeof(k.text), "users/%s/condemned", user_id);
	return k;
}

static int source_read(void *ctx, long long offset, void *buf, size_t len, size_t *ret_len,
                       struct err *e)
{
	const struct stored_manifest *m = ctx;

	return storage_get(m->storage, m->key.text, offset, buf, len, ret_len, e);
}

static int open_either(const struct engine *en, const struct engine_ref *ref, bool is_head_only,
                       struct stored_manifest *m, struct err *e)
{
	struct manifest_opt opt = { .backup_id = ref->backup_id,
		                    .is_head_only = is_head_only,
		                    .source = { source_read, m } };

	if (ref_check(ref, e) < 0)
		return -1;
	m->storage = en->storage;
	m->key = key_of_manifest(ref->user_id, ref->backup_id);
	if (key_ring_new(en, ref->user_id, &m->ring, e) < 0)
		return -1;
	assert(m->ring);
	opt.keys = m->ring->keys;
	opt.key_count = m->ring->count;
	if (manifest_open(&opt, &m->reader, e) < 0) {
		if (e->code == ERR_UPSTREAM || e->code == ERR_FORBIDDEN)
			object_error(e, m->key.text);
		return -1;
	}
	if (ref->instance_id &&
	    strcmp(ref->instance_id, manifest_head(m->reader)->instance_id) != 0)
		return err_set(e, ERR_NOT_FOUND, "backup %s is of another instance",
		               ref->backup_id);
	return 0;
}

int stored_manifest_open(const struct engine *en, const struct engine_ref *ref,
                         struct stored_manifest *ret, struct err *e)
{
	return open_either(en, ref, false, ret, e);
}

int stored_manifest_head(const struct engine *en, const struct engine_ref *ref,
                         struct manifest_head *ret, struct err *e)
{
	OWN(stored_manifest) struct stored_manifest m = { 0 };

	if (open_either(en, ref, true, &m, e) < 0)
		return -1;
	*ret = *manifest_head(m.reader);
	return 0;
}

void stored_manifest_done(struct stored_manifest *m)
{
	manifest_close(TAKE(m->reader));
	key_ring_free(TAKE(m->ring));
}

int stored_manifest_next(struct stored_manifest *m, struct record *ret, bool *ret_is_end,
                         struct err *e)
{
	if (manifest_next(m->reader, ret, ret_is_end, e) == 0)
		return 0;
	return e->code == ERR_UPSTREAM ? object_error(e, m->key.text) : -1;
}

void totals_of_head(const struct manifest_head *h, struct engine_totals *ret)
{
	*ret = (struct engine_totals){ .files = (long long)h->files,
		                       .dirs = (long long)h->dirs,
		                       .links = (long long)h->links,
		                       .notes = (long long)h->notes,
		                       .bytes = (long long)h->bytes,
		                       .chunks = (long long)h->chunks,
		                       .chunks_new = (long long)h->chunks_new,
		                       .bytes_stored = (long long)h->bytes_stored };
}

int object_error(struct err *e, const char *key)
{
	char msg[sizeof(e->msg)];

	memcpy(msg, e->msg, sizeof(msg));
	return err_set(e, e->code, "%s: %s", key, msg);
}

int file_error(struct err *e, const char *what)
{
	enum err_code code = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERR_QUOTA
	                     : errno == ENOENT || errno == ENOTDIR                ? ERR_NOT_FOUND
	                                                                          : ERR_INTERNAL;

	return err_set(e, code, "%s: %s", what, strerrordesc_np(errno));
}

int pulse_tell(struct pulse *p, bool is_forced, struct err *e)
{
	long long mono_ms = clock_mono_ms(), percent;
	struct engine_progress *at = &p->progress;

	if (!p->watch || !p->watch->on_progress || (!is_forced && mono_ms < p->last_ms + PULSE_MS))
		return 0;
	p->last_ms = mono_ms;
	percent = at->bytes_total > 0   ? at->bytes_done * 100 / at->bytes_total
	          : at->files_total > 0 ? at->files_done * 100 / at->files_total
	                                : 0;
	at->percent = percent > 99 ? 99 : percent < at->percent ? at->percent : (int)percent;
	if (!p->watch->on_progress(p->watch->ctx, at))
		return err_set(e, ERR_CONFLICT, "told to stop");
	return 0;
}
