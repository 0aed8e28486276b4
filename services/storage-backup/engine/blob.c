#include "engine/condemned.h"

#define PLATFORM  "00000000-0000-0000-0000-000000000000" /* whose keys seal what is nobody's */
#define BLOB_ROOT "platform/"

static int blob_key(const char *name, struct key_text *ret, struct err *e)
{
	int len = snprintf(ret->text, sizeof(ret->text), BLOB_ROOT "%s", name);

	return len < (int)sizeof(ret->text) ? 0 : err_field(e, "name", "is too long");
}

int engine_blob_put(struct engine *en, const char *name, const void *data, size_t len,
                    struct err *e)
{
	OWN(key_ring) struct key_ring *ring = NULL;
	struct key_text key = { "" };

	if (len > ENGINE_BLOB_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d bytes", ENGINE_BLOB_MAX);
	if (blob_key(name, &key, e) < 0 || key_ring_new(en, PLATFORM, &ring, e) < 0)
		return -1;
	return sealed_put(en, &ring->keys[0], key.text, data, len, e);
}

int engine_blob_get(struct engine *en, const char *name, char **ret, size_t *ret_len, struct err *e)
{
	OWN(key_ring) struct key_ring *ring = NULL;
	struct key_text key = { "" };

	if (blob_key(name, &key, e) < 0 || key_ring_new(en, PLATFORM, &ring, e) < 0)
		return -1;
	return sealed_get(en, ring, key.text, ret, ret_len, e);
}

struct blob_list {
	bool (*on_blob)(void *ctx, const char *name, long long size);
	void *ctx;
};

static bool on_object(void *ctx, const struct storage_object *object)
{
	const struct blob_list *l = ctx;

	return l->on_blob(l->ctx, object->key + strlen(BLOB_ROOT), object->size);
}

int engine_blobs(struct engine *en, const char *prefix,
                 bool (*on_blob)(void *ctx, const char *name, long long size), void *ctx,
                 struct err *e)
{
	struct blob_list l = { on_blob, ctx };
	const struct storage_list_to to = { .on_object = on_object, .ctx = &l };
	struct key_text key = { "" };

	if (blob_key(prefix, &key, e) < 0)
		return -1;
	return storage_list(en->storage, key.text, &to, e);
}

int engine_blob_delete(struct engine *en, const char *name, struct err *e)
{
	struct key_text key = { "" };

	if (blob_key(name, &key, e) < 0)
		return -1;
	return storage_delete(en->storage, key.text, e);
}
