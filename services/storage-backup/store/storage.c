#include "store/storage_internal.h"

#include "format/mem.h"
#include "store/key.h"

#define FILE_URL "file://"

/* Files have people's names: a key that is none is not told. */
static int check_key(const struct storage *s, const char *key, struct err *e)
{
	return storage_is_key(s, key) ? 0 : err_set(e, ERR_INTERNAL, "that is no key of a store");
}

bool storage_is_key(const struct storage *s, const char *key)
{
	return key_is_valid(key, s->key_max);
}

int storage_open(const struct storage_opt *opt, struct storage **ret, struct err *e)
{
	OWN(storage) struct storage *s = mem_new(sizeof(*s));
	int r;

	if (!s)
		return err_set(e, ERR_INTERNAL, "out of memory");
	s->key_max = STORAGE_KEY_MAX;
	if (strncmp(opt->url, FILE_URL, sizeof(FILE_URL) - 1) == 0)
		r = dir_open(opt->url + sizeof(FILE_URL) - 1, s, e);
	else
		r = s3_open(opt, s, e);
	if (r < 0)
		return -1;
	*ret = TAKE(s);
	return 0;
}

void storage_close(struct storage *s)
{
	if (!s)
		return;
	if (s->impl)
		s->kind->close(s->impl);
	free(s);
}

static bool enough(void *ctx, const struct storage_object *object)
{
	(void)ctx;
	(void)object;
	return false;
}

static bool enough_dirs(void *ctx, const char *prefix)
{
	(void)ctx;
	(void)prefix;
	return false;
}

int storage_check(struct storage *s, struct err *e)
{
	struct storage_list_to to = { .on_object = enough, .on_dir = enough_dirs };

	return storage_list(s, "", &to, e);
}

int storage_put(struct storage *s, const char *key, const void *data, size_t len, struct err *e)
{
	return check_key(s, key, e) < 0 ? -1 : s->kind->put(s->impl, key, data, len, e);
}

int storage_put_file(struct storage *s, const char *key, int fd, long long size, struct err *e)
{
	return check_key(s, key, e) < 0 ? -1 : s->kind->put_file(s->impl, key, fd, size, e);
}

int storage_get(struct storage *s, const char *key, long long offset, void *buf, size_t len,
                size_t *ret_len, struct err *e)
{
	struct storage_range range = { offset, buf, len };

	if (check_key(s, key, e) < 0)
		return -1;
	if (!len) {
		*ret_len = 0;
		return 0;
	}
	return s->kind->get(s->impl, key, &range, ret_len, e);
}

int storage_head(struct storage *s, const char *key, long long *ret_size, struct err *e)
{
	return check_key(s, key, e) < 0 ? -1 : s->kind->head(s->impl, key, ret_size, e);
}

int storage_delete(struct storage *s, const char *key, struct err *e)
{
	return check_key(s, key, e) < 0 ? -1 : s->kind->delete (s->impl, key, e);
}

struct own_list {
	const struct storage *s;
	const struct storage_list_to *to;
};

static bool on_own(void *ctx, const struct storage_object *object)
{
	const struct own_list *l = ctx;

	return !storage_is_key(l->s, object->key) || l->to->on_object(l->to->ctx, object);
}

/* prefix: ends in '/' */
static bool on_own_dir(void *ctx, const char *prefix)
{
	const struct own_list *l = ctx;

	return !key_is_prefix(prefix, l->s->key_max) || l->to->on_dir(l->to->ctx, prefix);
}

int storage_list(struct storage *s, const char *prefix, const struct storage_list_to *to,
                 struct err *e)
{
	struct own_list l = { s, to };
	struct storage_list_to own = { on_own, to->on_dir ? on_own_dir : NULL, &l };

	if (!key_is_prefix(prefix, s->key_max))
		return err_set(e, ERR_INTERNAL, "that is no prefix of a store's keys");
	return s->kind->list(s->impl, prefix, &own, e);
}
