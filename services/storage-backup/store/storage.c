#include "store/storage_internal.h"

#include "format/mem.h"

#define FILE_URL "file://"

static bool is_key_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-' || c == '/';
}

/* A prefix may end anywhere in a key. */
static bool is_key(const char *key, bool is_prefix)
{
	size_t len = strlen(key), start = 0;

	if (len > STORAGE_KEY_MAX || (!len && !is_prefix))
		return false;
	for (size_t i = 0; i <= len; i++) {
		size_t part = i - start;

		if (i < len && !is_key_byte(key[i]))
			return false;
		if (i < len && key[i] != '/')
			continue;
		if (i == len && is_prefix)
			return true;
		if (!part || strncmp(key + start, "./", part + 1) == 0 ||
		    strncmp(key + start, "../", part + 1) == 0 ||
		    (i == len && (strcmp(key + start, ".") == 0 || strcmp(key + start, "..") == 0)))
			return false;
		start = i + 1;
	}
	return true;
}

static int check_key(const char *key, struct err *e)
{
	return is_key(key, false) ? 0 : err_set(e, ERR_INTERNAL, "'%.80s' is no key", key);
}

int storage_open(const struct storage_opt *opt, struct storage **ret, struct err *e)
{
	OWN(storage) struct storage *s = mem_new(sizeof(*s));
	int r;

	if (!s)
		return err_set(e, ERR_INTERNAL, "out of memory");
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
	return check_key(key, e) < 0 ? -1 : s->kind->put(s->impl, key, data, len, e);
}

int storage_put_file(struct storage *s, const char *key, int fd, long long size, struct err *e)
{
	return check_key(key, e) < 0 ? -1 : s->kind->put_file(s->impl, key, fd, size, e);
}

int storage_get(struct storage *s, const char *key, long long offset, void *buf, size_t len,
                size_t *ret_len, struct err *e)
{
	struct storage_range range = { offset, buf, len };

	if (check_key(key, e) < 0)
		return -1;
	if (!len) {
		*ret_len = 0;
		return 0;
	}
	return s->kind->get(s->impl, key, &range, ret_len, e);
}

int storage_head(struct storage *s, const char *key, long long *ret_size, struct err *e)
{
	return check_key(key, e) < 0 ? -1 : s->kind->head(s->impl, key, ret_size, e);
}

int storage_delete(struct storage *s, const char *key, struct err *e)
{
	return check_key(key, e) < 0 ? -1 : s->kind->delete (s->impl, key, e);
}

int storage_list(struct storage *s, const char *prefix, const struct storage_list_to *to,
                 struct err *e)
{
	if (!is_key(prefix, true))
		return err_set(e, ERR_INTERNAL, "'%.80s' is no prefix", prefix);
	return s->kind->list(s->impl, prefix, to, e);
}
