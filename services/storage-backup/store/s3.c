#include "store/s3.h"

#include "format/mem.h"

#include <errno.h>
#include <sodium.h>

#define TIMEOUT_MS 60000
#define RETRIES    5
#define PREFIX_MAX 256 /* bytes before each key */
#define REGION     "auto"
#define SSE        "AES256"

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_started;

static void curl_start(void)
{
	curl_started = curl_global_init(CURL_GLOBAL_ALL);
}

void s3_res_done(struct s3_res *res)
{
	free(res->text);
	res->text = NULL;
}

static void close_s3(void *impl)
{
	struct s3 *s = impl;

	for (size_t i = 0; i < s->idle_count; i++)
		curl_easy_cleanup(s->idle[i]);
	pthread_mutex_destroy(&s->lock);
	if (s->secret_key)
		sodium_memzero(s->secret_key, strlen(s->secret_key));
	free(s->secret_key);
	free(s->access_key);
	free(s->base);
	free(s->prefix);
	free(s->sigv4);
	free(s->sse);
	free(s);
}

static int put(void *impl, const char *key, const void *data, size_t len, struct err *e)
{
	OWN(s3_res) struct s3_res res = { 0 };
	struct s3_req req = { .method = "PUT",
		              .key = key,
		              .body = len ? data : "",
		              .body_len = len,
		              .is_new_object = true };

	return s3_call(impl, &req, &res, e);
}

int s3_read_part(int fd, long long offset, char *to, size_t len, struct err *e)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, to + done, len - done, offset + (long long)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_INTERNAL, "what is to be stored ends early");
		done += (size_t)n;
	}
	return 0;
}

static int put_file(void *impl, const char *key, int fd, long long size, struct err *e)
{
	OWN(mem) char *whole = NULL;

	if (size > STORAGE_PART_BYTES)
		return s3_put_parts(impl, key, fd, size, e);
	whole = mem_new((size_t)size);
	if (!whole)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (s3_read_part(fd, 0, whole, (size_t)size, e) < 0)
		return -1;
	return put(impl, key, whole, (size_t)size, e);
}

static int get(void *impl, const char *key, const struct storage_range *range, size_t *ret_len,
               struct err *e)
{
	OWN(s3_res) struct s3_res res = { 0 };
	struct s3_req req = { .method = "GET", .key = key, .range = range };

	if (s3_call(impl, &req, &res, e) < 0)
		return -1;
	*ret_len = res.got;
	return 0;
}

static int head(void *impl, const char *key, long long *ret_size, struct err *e)
{
	OWN(s3_res) struct s3_res res = { 0 };
	struct s3_req req = { .method = "HEAD", .key = key };

	if (s3_call(impl, &req, &res, e) < 0)
		return -1;
	*ret_size = res.length;
	return 0;
}

static int delete_object(void *impl, const char *key, struct err *e)
{
	OWN(s3_res) struct s3_res res = { 0 };
	struct s3_req req = { .method = "DELETE", .key = key };
	struct err why = ERR_INIT;

	if (s3_call(impl, &req, &res, &why) == 0 || why.code == ERR_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

static const struct storage_kind kind = {
	.close = close_s3,
	.put = put,
	.put_file = put_file,
	.get = get,
	.head = head,
	.delete = delete_object,
	.list = s3_list,
};

/* ---- the URL -------------------------------------------------------------------------------- */

static int bad_url(struct err *e, const char *why)
{
	return err_field(e, "STORAGE_URL",
	                 "must be file:///DIRECTORY or s3://HOST[:PORT]/BUCKET[/PREFIX]: %s", why);
}

/* A parameter of the URL's query, or what it is by default. */
static char *parameter(const char *query, const char *name, const char *otherwise)
{
	size_t len = strlen(name);

	for (const char *at = query; at; at = strchr(at, '&')) {
		at += *at == '&';
		if (strncmp(at, name, len) == 0 && at[len] == '=')
			return mem_text("%.*s", (int)strcspn(at + len + 1, "&"), at + len + 1);
	}
	return mem_text("%s", otherwise);
}

static bool is_plain(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_/:[]";

	return text[strspn(text, letters)] == 0 && !strstr(text, "//") && !strstr(text, "..");
}

/* An address, or "localhost": a proxy of the environment would not reach it. */
static bool is_loopback(const char *rest)
{
	return strncmp(rest, "127.", 4) == 0 || strncmp(rest, "[::1]", 5) == 0 ||
	       strncmp(rest, "localhost", 9) == 0;
}

/* HOST/BUCKET[/PREFIX][?…] behind the scheme. */
static int url_take_apart(struct s3 *s, const char *scheme, const char *rest, struct err *e)
{
	size_t len = strcspn(rest, "?");
	const char *query = rest[len] ? rest + len + 1 : NULL;
	OWN(mem) char *path = mem_text("%.*s", (int)len, rest);
	OWN(mem) char *region = parameter(query, "region", REGION);
	const char *bucket, *prefix;

	s->sse = parameter(query, "sse", SSE);
	if (!path || !region || !s->sse)
		return err_set(e, ERR_INTERNAL, "out of memory");
	while (len > 0 && path[len - 1] == '/')
		path[--len] = 0;
	bucket = strchr(path, '/');
	if (!bucket || bucket == path || !bucket[1])
		return bad_url(e, "host or bucket is missing");
	if (!is_plain(path) || !is_plain(region) || !is_plain(s->sse) || strchr(region, '/'))
		return bad_url(e, "has a character that it may not have");
	prefix = strchr(bucket + 1, '/');
	s->base = mem_text("%s://%.*s", scheme,
	                   (int)(prefix ? (size_t)(prefix - path) : strlen(path)), path);
	s->prefix = prefix ? mem_text("%s/", prefix + 1) : mem_text("%s", "");
	s->sigv4 = mem_text("aws:amz:%s:s3", region);
	s->is_direct = is_loopback(path);
	return s->base && s->prefix && s->sigv4 ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int s3_open(const struct storage_opt *opt, struct storage *ret, struct err *e)
{
	bool is_tls = strncmp(opt->url, "s3://", 5) == 0;
	struct s3 *s;

	if (!is_tls && strncmp(opt->url, "s3+http://", 10) != 0)
		return bad_url(e, "no such scheme");
	if (!opt->access_key || !opt->access_key[0])
		return err_field(e, "R2_ACCESS_KEY_ID", "is needed for an s3 store");
	if (!opt->secret_key || !opt->secret_key[0])
		return err_field(e, "R2_SECRET_ACCESS_KEY", "is needed for an s3 store");
	pthread_once(&curl_once, curl_start);
	if (curl_started != CURLE_OK)
		return err_set(e, ERR_INTERNAL, "libcurl: %s", curl_easy_strerror(curl_started));
	s = mem_new(sizeof(*s));
	if (!s)
		return err_set(e, ERR_INTERNAL, "out of memory");
	ret->kind = &kind;
	ret->impl = s;
	pthread_mutex_init(&s->lock, NULL);
	s->timeout_ms = opt->timeout_ms ? opt->timeout_ms : TIMEOUT_MS;
	s->retries = opt->retries < 0 ? 0 : opt->retries ? opt->retries : RETRIES;
	s->access_key = mem_text("%s", opt->access_key);
	s->secret_key = mem_text("%s", opt->secret_key);
	if (!s->access_key || !s->secret_key)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (url_take_apart(s, is_tls ? "https" : "http", opt->url + (is_tls ? 5 : 10), e) < 0)
		return -1;
	if (strlen(s->prefix) > PREFIX_MAX)
		return bad_url(e, "the prefix is too long");
	ret->key_max = STORAGE_KEY_MAX - strlen(s->prefix);
	return 0;
}
