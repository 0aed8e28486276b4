#include "format/record.h"

#define NS_MAX   999999999u
#define MODE_MAX 07777u

size_t record_write(const struct record *r, unsigned char *to)
{
	struct bytes_to w = { to };

	bytes_byte(&w, (unsigned char)r->type);
	switch (r->type) {
	case RECORD_CHUNK:
		bytes_number(&w, r->place.pack);
		bytes_number(&w, r->place.offset);
		bytes_number(&w, r->place.len);
		bytes_number(&w, r->place.plain_len);
		bytes_raw(&w, r->id, CHUNK_ID_LEN);
		return (size_t)(w.at - to);
	case RECORD_HOLE:
		bytes_number(&w, r->size);
		return (size_t)(w.at - to);
	case RECORD_NOTE:
		bytes_number(&w, r->note);
		bytes_number(&w, r->path_len);
		bytes_raw(&w, r->path, r->path_len);
		return (size_t)(w.at - to);
	default:
		break;
	}
	bytes_number(&w, r->path_len);
	bytes_raw(&w, r->path, r->path_len);
	bytes_number(&w, r->mode);
	bytes_number(&w, r->uid);
	bytes_number(&w, r->gid);
	bytes_signed(&w, r->mtime_s);
	bytes_number(&w, r->mtime_ns);
	if (r->type == RECORD_LINK) {
		bytes_number(&w, r->target_len);
		bytes_raw(&w, r->target, r->target_len);
	} else if (r->type == RECORD_FILE) {
		bytes_number(&w, r->size);
		bytes_number(&w, r->flags);
		bytes_number(&w, r->inode);
		bytes_signed(&w, r->ctime_s);
		bytes_number(&w, r->ctime_ns);
		bytes_number(&w, r->extents);
	}
	return (size_t)(w.at - to);
}

static const char *text_read(struct bytes_from *from, size_t *ret_len)
{
	*ret_len = (size_t)bytes_get_max(from, RECORD_PATH_MAX);
	return (const char *)bytes_take(from, *ret_len);
}

static void path_read(struct bytes_from *from, struct record *r)
{
	r->path = text_read(from, &r->path_len);
	if (r->path && !record_path_is_valid(r->path, r->path_len))
		from->is_bad = true;
}

static void chunk_read(struct bytes_from *from, struct record *r)
{
	r->place.pack = (uint32_t)bytes_get_max(from, UINT32_MAX);
	r->place.offset = (uint32_t)bytes_get_max(from, PACK_BYTES_MAX);
	r->place.len = (uint32_t)bytes_get_max(from, CHUNK_FRAME_MAX);
	r->place.plain_len = (uint32_t)bytes_get_max(from, CHUNK_MAX);
	r->id = bytes_take(from, CHUNK_ID_LEN);
	if (r->place.offset < PACK_HEAD || r->place.len < CHUNK_OVERHEAD || !r->place.plain_len)
		from->is_bad = true;
}

static void entry_read(struct bytes_from *from, struct record *r)
{
	path_read(from, r);
	r->mode = (uint32_t)bytes_get_max(from, MODE_MAX);
	r->uid = (uint32_t)bytes_get_max(from, UINT32_MAX);
	r->gid = (uint32_t)bytes_get_max(from, UINT32_MAX);
	r->mtime_s = bytes_get_signed(from);
	r->mtime_ns = (uint32_t)bytes_get_max(from, NS_MAX);
	if (r->type == RECORD_LINK) {
		r->target = text_read(from, &r->target_len);
		if (!r->target_len || (r->target && memchr(r->target, 0, r->target_len)))
			from->is_bad = true;
	} else if (r->type == RECORD_FILE) {
		r->size = bytes_get_max(from, INT64_MAX);
		r->flags = (uint32_t)bytes_get_max(from, RECORD_IS_DATABASE | RECORD_WAS_CHANGING);
		r->inode = bytes_get(from);
		r->ctime_s = bytes_get_signed(from);
		r->ctime_ns = (uint32_t)bytes_get_max(from, NS_MAX);
		r->extents = bytes_get_max(from, INT64_MAX);
	}
}

bool record_read(struct bytes_from *from, struct record *ret)
{
	const unsigned char *type;

	*ret = (struct record){ 0 };
	if (from->is_bad || from->at == from->end)
		return false;
	type = bytes_take(from, 1);
	ret->type = (enum record_type) * type;
	switch (ret->type) {
	case RECORD_DIR:
	case RECORD_LINK:
	case RECORD_FILE:
		entry_read(from, ret);
		break;
	case RECORD_CHUNK:
		chunk_read(from, ret);
		break;
	case RECORD_HOLE:
		ret->size = bytes_get_max(from, INT64_MAX);
		from->is_bad |= !ret->size;
		break;
	case RECORD_NOTE:
		ret->note = (uint32_t)bytes_get_max(from, 255);
		ret->path = text_read(from, &ret->path_len);
		break;
	default:
		from->is_bad = true;
	}
	return !from->is_bad;
}

bool record_path_is_valid(const char *path, size_t len)
{
	size_t start = 0;

	if (!len || len > RECORD_PATH_MAX || memchr(path, 0, len))
		return false;
	for (size_t i = 0; i <= len; i++) {
		size_t part = i - start;

		if (i < len && path[i] != '/')
			continue;
		if (!part || (part == 1 && path[start] == '.') ||
		    (part == 2 && path[start] == '.' && path[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return record_path_is_under(path, len, ".openclaw") ||
	       record_path_is_under(path, len, "workspace");
}

static int byte_order(unsigned char c)
{
	return c == '/' ? 0 : c + 1;
}

int record_path_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t len = a_len < b_len ? a_len : b_len;

	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i])
			return byte_order((unsigned char)a[i]) - byte_order((unsigned char)b[i]);
	return a_len < b_len ? -1 : a_len > b_len;
}

bool record_path_is_under(const char *path, size_t len, const char *under)
{
	size_t under_len = strlen(under);

	return !under_len || (len >= under_len && memcmp(path, under, under_len) == 0 &&
	                      (len == under_len || path[under_len] == '/'));
}
