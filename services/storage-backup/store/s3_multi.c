#include "store/s3.h"

#include "format/mem.h"
#include "store/s3_percent.h"
#include "store/s3_xml.h"

#define PARTS_MAX   10000
#define ENCODED_MAX (3 * S3_XML_VALUE_MAX + 1)

static bool on_upload(void *ctx, const char *parent, const char *name, const char *value)
{
	(void)parent;
	if (strcmp(name, "UploadId") == 0)
		s3_encode(value, ctx, ENCODED_MAX);
	return true;
}

static int begin(struct s3 *s, const char *key, char id[ENCODED_MAX], struct err *e)
{
	OWN(s3_res) struct s3_res res = { 0 };
	struct s3_req req = {
		.method = "POST", .key = key, .query = "uploads=", .body = "", .is_new_object = true
	};

	if (s3_call(s, &req, &res, e) < 0 ||
	    s3_xml_read(res.text ? res.text : "", res.text_len, on_upload, id, e) < 0)
		return -1;
	return id[0] ? 0 : err_set(e, ERR_UPSTREAM, "the store gives no upload id");
}

struct upload {
	struct s3 *s;
	const char *key, *id;
	char *xml; /* of the parts so far */
	size_t xml_len, xml_size;
};

static int part(struct upload *u, int number, const char *data, size_t len, struct err *e)
{
	OWN(s3_res) struct s3_res res = { 0 };
	OWN(mem) char *query = mem_text("partNumber=%d&uploadId=%s", number, u->id);
	struct s3_req req = {
		.method = "PUT", .key = u->key, .query = query, .body = data, .body_len = len
	};

	if (!query)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (s3_call(u->s, &req, &res, e) < 0)
		return -1;
	if (!res.etag[0] || strpbrk(res.etag, "<>&"))
		return err_set(e, ERR_UPSTREAM, "the store names no part");
	u->xml_len += (size_t)snprintf(u->xml + u->xml_len, u->xml_size - u->xml_len,
	                               "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>",
	                               number, res.etag);
	return 0;
}

static int complete(struct upload *u, struct err *e)
{
	OWN(s3_res) struct s3_res res = { 0 };
	OWN(mem) char *query = mem_text("uploadId=%s", u->id);
	OWN(mem)
	char *body = mem_text("<CompleteMultipartUpload>%s</CompleteMultipartUpload>", u->xml);
	struct s3_req req = { .method = "POST", .key = u->key, .query = query, .body = body };

	if (!query || !body)
		return err_set(e, ERR_INTERNAL, "out of memory");
	req.body_len = strlen(body);
	return s3_call(u->s, &req, &res, e);
}

static void abandon(const struct upload *u)
{
	OWN(s3_res) struct s3_res res = { 0 };
	OWN(mem) char *query = mem_text("uploadId=%s", u->id);
	struct s3_req req = { .method = "DELETE", .key = u->key, .query = query };
	struct err ignored = ERR_INIT; /* the bucket's lifecycle rule has the rest */

	if (query)
		s3_call(u->s, &req, &res, &ignored);
}

static int parts(struct upload *u, int fd, long long size, struct err *e)
{
	OWN(mem) char *buf = mem_new(STORAGE_PART_BYTES);

	if (!buf)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (long long at = 0; at < size; at += STORAGE_PART_BYTES) {
		size_t len =
			size - at < STORAGE_PART_BYTES ? (size_t)(size - at) : STORAGE_PART_BYTES;

		if (s3_read_part(fd, at, buf, len, e) < 0 ||
		    part(u, (int)(at / STORAGE_PART_BYTES) + 1, buf, len, e) < 0)
			return -1;
	}
	return 0;
}

int s3_put_parts(struct s3 *s, const char *key, int fd, long long size, struct err *e)
{
	long long count = (size + STORAGE_PART_BYTES - 1) / STORAGE_PART_BYTES;
	OWN(mem) char *id = mem_new(ENCODED_MAX);
	OWN(mem) char *xml = NULL;
	struct upload u = { .s = s, .key = key, .id = id };

	if (count > PARTS_MAX)
		return err_set(e, ERR_TOO_LARGE, "an object of more than %d parts", PARTS_MAX);
	u.xml_size = (size_t)count * 256;
	u.xml = xml = mem_new(u.xml_size);
	if (!id || !xml)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (begin(s, key, id, e) < 0)
		return -1;
	if (parts(&u, fd, size, e) == 0 && complete(&u, e) == 0)
		return 0;
	abandon(&u);
	return -1;
}
