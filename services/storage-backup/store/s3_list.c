#include "store/s3.h"

#include "format/mem.h"
#include "store/s3_percent.h"
#include "store/s3_xml.h"

#define ENCODED_MAX (3 * S3_XML_VALUE_MAX + 1)

/*
 * Pages of a bucket's objects. They are asked for percent-encoded, since XML does not hold every name
 * that others may have put there; a store that does not know of that says so by not saying it.
 */
struct page {
	const struct s3 *s;
	const struct storage_list_to *to;
	char key[S3_XML_VALUE_MAX + 1];
	char next[ENCODED_MAX]; /* the next page's token, encoded */
	bool is_encoded, is_truncated, is_done, is_wrong;
};

/* The key below the store's own prefix; NULL: none of ours. */
static const char *own_key(struct page *p, const char *value)
{
	size_t skip = strlen(p->s->prefix);

	snprintf(p->key, sizeof(p->key), "%s", value);
	if (p->is_encoded && !s3_decode(p->key)) {
		p->is_wrong = true;
		return NULL;
	}
	return strncmp(p->key, p->s->prefix, skip) == 0 ? p->key + skip : NULL;
}

static bool on_encoding(void *ctx, const char *parent, const char *name, const char *value)
{
	struct page *p = ctx;

	(void)parent;
	if (strcmp(name, "EncodingType") == 0)
		p->is_encoded = strcmp(value, "url") == 0;
	return true;
}

struct entry {
	struct page *page;
	const char *key; /* of the object whose size comes next; NULL: none of ours */
};

static bool on_listed(void *ctx, const char *parent, const char *name, const char *value)
{
	struct entry *at = ctx;
	struct page *p = at->page;

	if (strcmp(parent, "Contents") == 0 && strcmp(name, "Key") == 0) {
		at->key = own_key(p, value);
	} else if (strcmp(parent, "Contents") == 0 && strcmp(name, "Size") == 0) {
		struct storage_object object = { at->key, strtoll(value, NULL, 10) };

		if (at->key)
			p->is_done = !p->to->on_object(p->to->ctx, &object);
		at->key = NULL;
	} else if (strcmp(parent, "CommonPrefixes") == 0 && strcmp(name, "Prefix") == 0) {
		const char *key = p->to->on_dir ? own_key(p, value) : NULL;

		if (key)
			p->is_done = !p->to->on_dir(p->to->ctx, key);
	} else if (strcmp(name, "NextContinuationToken") == 0) {
		s3_encode(value, p->next, sizeof(p->next));
	} else if (strcmp(name, "IsTruncated") == 0) {
		p->is_truncated = strcmp(value, "true") == 0;
	}
	return !p->is_done && !p->is_wrong;
}

static int page_read(struct page *p, const struct s3_res *res, struct err *e)
{
	const char *text = res->text ? res->text : "";
	struct entry at = { p, NULL };

	p->next[0] = 0;
	p->is_truncated = p->is_encoded = false;
	if (s3_xml_read(text, res->text_len, on_encoding, p, e) < 0 ||
	    s3_xml_read(text, res->text_len, on_listed, &at, e) < 0)
		return -1;
	return p->is_wrong ? err_set(e, ERR_UPSTREAM, "the store's listing is encoded wrongly") : 0;
}

static int list_page(struct s3 *s, const char *prefix, struct page *p, struct err *e)
{
	OWN(s3_res) struct s3_res res = { 0 };
	OWN(mem)
	char *query =
		mem_text("%s%s%s%sencoding-type=url&list-type=2&prefix=%s",
	                 p->next[0] ? "continuation-token=" : "", p->next, p->next[0] ? "&" : "",
	                 p->to->on_dir ? "delimiter=%2F&" : "", prefix);
	struct s3_req req = { .method = "GET", .key = "", .query = query };

	if (!query)
		return err_set(e, ERR_INTERNAL, "out of memory");
	return s3_call(s, &req, &res, e) < 0 ? -1 : page_read(p, &res, e);
}

int s3_list(void *impl, const char *prefix, const struct storage_list_to *to, struct err *e)
{
	struct s3 *s = impl;
	OWN(mem) struct page *p = mem_new(sizeof(*p));
	OWN(mem) char *encoded = mem_new(ENCODED_MAX);
	OWN(mem) char *whole = mem_text("%s%s", s->prefix, prefix);

	if (!p || !encoded || !whole)
		return err_set(e, ERR_INTERNAL, "out of memory");
	s3_encode(whole, encoded, ENCODED_MAX);
	p->s = s;
	p->to = to;
	do {
		if (list_page(s, encoded, p, e) < 0)
			return -1;
	} while (p->is_truncated && p->next[0] && !p->is_done);
	if (p->is_truncated && !p->next[0] && !p->is_done)
		return err_set(e, ERR_UPSTREAM, "the store's listing breaks off");
	return 0;
}
