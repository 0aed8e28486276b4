#include "store/s3.h"

#include "base/clock.h"
#include "base/fault.h"
#include "format/mem.h"
#include "store/s3_percent.h"
#include "store/s3_xml.h"

#include <openssl/evp.h>
#include <sodium.h>

#define CONNECT_MS    10000
#define EXPECT_MS     50 /* for "100 Continue", which curl asks for before a long body */
#define STALL_S       30 /* no byte for so long: the connection is as good as cut */
#define BACKOFF_MS    200
#define BACKOFF_MAX   10000
#define RETRY_AFTER_S 30 /* a store's wish is followed up to here */
#define SKEW_S        300

/* One try. */
struct transfer {
	const struct s3_req *req;
	struct s3_res *res;
	CURL *easy;
	struct curl_slist *headers;
	char *url;
	size_t text_size;
	bool is_too_long;
	long retry_after_s;
	long long date_s; /* the store's clock; 0: it did not say */
	char code[64], message[160];
};

static CURL *easy_take(struct s3 *s)
{
	CURL *easy = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->idle_count > 0)
		easy = s->idle[--s->idle_count];
	pthread_mutex_unlock(&s->lock);
	return easy ? easy : curl_easy_init();
}

static void easy_give(struct s3 *s, CURL *easy)
{
	curl_easy_reset(easy); /* keeps its connection, forgets our keys */
	pthread_mutex_lock(&s->lock);
	if (s->idle_count < S3_IDLE_MAX) {
		s->idle[s->idle_count++] = easy;
		easy = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	curl_easy_cleanup(easy);
}

/* ---- what comes back ------------------------------------------------------------------------ */

static bool is_good(long status)
{
	return status >= 200 && status < 300;
}

static size_t text_add(struct transfer *t, const char *data, size_t len)
{
	struct s3_res *res = t->res;

	if (len > S3_ANSWER_MAX - res->text_len) {
		t->is_too_long = true;
		return 0;
	}
	if (res->text_len + len + 1 > t->text_size) {
		size_t size = 2 * (res->text_len + len) + 1024;
		char *more = realloc(res->text, size);

		if (!more)
			return 0;
		res->text = more;
		t->text_size = size;
	}
	memcpy(res->text + res->text_len, data, len);
	res->text_len += len;
	res->text[res->text_len] = 0;
	return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	const struct storage_range *range = t->req->range;
	size_t len = size * count;
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!range || !is_good(status))
		return text_add(t, data, len);
	if (len > range->len - t->res->got) {
		t->is_too_long = true; /* it did not keep to the range */
		return 0;
	}
	memcpy((char *)range->buf + t->res->got, data, len);
	t->res->got += len;
	return len;
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	size_t len = size * count;
	OWN(mem) char *line = mem_text("%.*s", (int)len, data);
	char *value = line ? strchr(line, ':') : NULL;

	if (!value)
		return len;
	*value++ = 0;
	value += strspn(value, " \t");
	value[strcspn(value, "\r\n")] = 0;
	if (strcasecmp(line, "etag") == 0)
		snprintf(t->res->etag, sizeof(t->res->etag), "%s", value);
	else if (strcasecmp(line, "retry-after") == 0)
		t->retry_after_s = strtol(value, NULL, 10);
	else if (strcasecmp(line, "date") == 0)
		t->date_s = curl_getdate(value, NULL);
	return len;
}

static bool on_value(void *ctx, const char *parent, const char *name, const char *value)
{
	struct transfer *t = ctx;

	if (strcmp(parent, "Error") != 0)
		return true;
	if (strcmp(name, "Code") == 0)
		snprintf(t->code, sizeof(t->code), "%s", value);
	else if (strcmp(name, "Message") == 0)
		snprintf(t->message, sizeof(t->message), "%s", value);
	return true;
}

/* ---- one try -------------------------------------------------------------------------------- */

static int header(struct transfer *t, struct err *e, const char *name, const char *value)
{
	OWN(mem) char *line = mem_text("%s%s", name, value);
	struct curl_slist *longer = line ? curl_slist_append(t->headers, line) : NULL;

	if (!longer)
		return err_set(e, ERR_INTERNAL, "out of memory");
	t->headers = longer;
	return 0;
}

/* The sums of what is sent: the store refuses a body that arrived otherwise. */
static int sums(struct transfer *t, struct err *e)
{
	const void *body = t->req->body ? t->req->body : "";
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	char text[2 * EVP_MAX_MD_SIZE + 1];

	if (!EVP_Digest(body, t->req->body_len, sum, &len, EVP_sha256(), NULL))
		return err_set(e, ERR_INTERNAL, "no SHA-256");
	sodium_bin2hex(text, sizeof(text), sum, len);
	if (header(t, e, "x-amz-content-sha256: ", text) < 0)
		return -1;
	if (!t->req->body)
		return 0;
	if (!EVP_Digest(body, t->req->body_len, sum, &len, EVP_md5(), NULL))
		return err_set(e, ERR_INTERNAL, "no MD5");
	sodium_bin2base64(text, sizeof(text), sum, len, sodium_base64_VARIANT_ORIGINAL);
	return header(t, e, "Content-MD5: ", text);
}

static int headers(const struct s3 *s, struct transfer *t, struct err *e)
{
	const struct storage_range *r = t->req->range;
	char range[80];

	/* curl's own header is not wanted, and cannot be taken away: its signature would name what it
	 * does not send. */
	if (sums(t, e) < 0 ||
	    (t->req->body && header(t, e, "Content-Type: ", "application/octet-stream") < 0))
		return -1;
	if (t->req->is_new_object && s->sse[0] &&
	    header(t, e, "x-amz-server-side-encryption: ", s->sse) < 0)
		return -1;
	if (!r)
		return 0;
	snprintf(range, sizeof(range), "bytes=%lld-%lld", r->offset,
	         r->offset + (long long)r->len - 1);
	return header(t, e, "Range: ", range);
}

static void options(const struct s3 *s, struct transfer *t)
{
	CURL *c = t->easy;

	curl_easy_setopt(c, CURLOPT_URL, t->url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	if (s->is_direct)
		curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)s->timeout_ms);
	curl_easy_setopt(c, CURLOPT_EXPECT_100_TIMEOUT_MS, (long)EXPECT_MS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	curl_easy_setopt(c, CURLOPT_AWS_SIGV4, s->sigv4);
	curl_easy_setopt(c, CURLOPT_USERNAME, s->access_key);
	curl_easy_setopt(c, CURLOPT_PASSWORD, s->secret_key);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
	if (t->req->body) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->req->body_len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, t->req->body);
	}
	if (strcmp(t->req->method, "HEAD") == 0)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, t->req->method);
}

static int refused(struct err *e, const struct transfer *t)
{
	long long off_s = t->date_s ? clock_now_ms() / 1000 - t->date_s : 0;

	if (strcmp(t->code, "RequestTimeTooSkewed") == 0 || off_s > SKEW_S || off_s < -SKEW_S)
		return err_set(e, ERR_FORBIDDEN,
		               "the store refuses us because this machine's clock is wrong: %lld s "
		               "%s the store's",
		               off_s < 0 ? -off_s : off_s, off_s < 0 ? "behind" : "ahead of");
	return err_set(e, ERR_FORBIDDEN, "the store refuses us: %s %.80s",
	               t->code[0] ? t->code : "403", t->message);
}

static bool is_damage(const char *code)
{
	return strcmp(code, "BadDigest") == 0 || strcmp(code, "InvalidDigest") == 0 ||
	       strcmp(code, "XAmzContentSHA256Mismatch") == 0;
}

static int answer(struct err *e, const struct transfer *t)
{
	long status = t->res->status;
	const char *code = t->code[0] ? t->code : "no reason given";

	if (is_damage(t->code))
		return err_set(e, ERR_UPSTREAM, "%s arrived damaged at the store", t->req->key);
	if (status == 404 && strcmp(t->code, "NoSuchBucket") == 0)
		return err_set(e, ERR_FORBIDDEN, "the store has no such bucket");
	if (status == 404)
		return err_set(e, ERR_NOT_FOUND, "no object %s", t->req->key);
	if (status == 401 || status == 403)
		return refused(e, t);
	if (status == 507 || strcmp(t->code, "QuotaExceeded") == 0)
		return err_set(e, ERR_QUOTA, "the store is full: %s", code);
	if (status == 429 || (status >= 500 && status != 501) ||
	    strcmp(t->code, "RequestTimeout") == 0 || strcmp(t->code, "SlowDown") == 0)
		return err_set(e, ERR_UNAVAILABLE, "the store answers %ld %s", status, code);
	/* Of the object nothing is known. */
	return err_set(e, ERR_INTERNAL, "the store answers %ld %s to %s", status, code,
	               t->req->method);
}

static int judge(struct transfer *t, CURLcode r, struct err *e)
{
	struct s3_res *res = t->res;
	struct err ignored = ERR_INIT;
	curl_off_t length = -1;

	if (t->is_too_long)
		return err_set(e, ERR_INTERNAL, "the store's answer is too long");
	if (r == CURLE_OPERATION_TIMEDOUT)
		return err_set(e, ERR_TIMEOUT, "the store does not answer in time");
	if (r != CURLE_OK)
		return err_set(e, ERR_UNAVAILABLE, "the store: %s", curl_easy_strerror(r));
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &res->status);
	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	res->length = length < 0 ? 0 : length;
	/* An error may also come with status 200, at the end of a multipart upload. */
	if (res->text_len)
		s3_xml_read(res->text, res->text_len, on_value, t, &ignored);
	if (res->status == 416 && t->req->range) {
		res->got = 0;
		return 0;
	}
	if (t->req->range && t->req->range->offset && res->status == 200)
		return err_set(e, ERR_INTERNAL, "the store does not know ranges");
	return is_good(res->status) && !t->code[0] ? 0 : answer(e, t);
}

static void transfer_done(struct s3 *s, struct transfer *t)
{
	if (t->easy)
		easy_give(s, t->easy);
	curl_slist_free_all(t->headers);
	free(t->url);
}

static int try_once(struct s3 *s, const struct s3_req *req, struct s3_res *res,
                    long *ret_retry_after_s, struct err *e)
{
	struct transfer t = { .req = req, .res = res, .easy = easy_take(s) };
	char key[3 * STORAGE_KEY_MAX + 4];
	int r = -1;

	/* As it is signed, so it is sent. */
	s3_encode_path(req->key, key, sizeof(key));
	t.url = mem_text("%s/%s%s%s%s", s->base, req->key[0] ? s->prefix : "", key,
	                 req->query ? "?" : "", req->query ? req->query : "");
	if (!t.easy || !t.url)
		err_set(e, ERR_INTERNAL, "out of memory");
	else if (headers(s, &t, e) == 0) {
		options(s, &t);
		r = judge(&t, curl_easy_perform(t.easy), e);
	}
	*ret_retry_after_s = t.retry_after_s;
	transfer_done(s, &t);
	return r;
}

static bool is_worth_another(const struct err *e)
{
	return e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT ||
	       (e->code == ERR_UPSTREAM && strstr(e->msg, "arrived damaged"));
}

/* Full jitter: all who were turned away at once do not come back at once. */
static void back_off(int tries, long retry_after_s)
{
	uint32_t most = BACKOFF_MS << (tries < 6 ? tries : 6);

	if (most > BACKOFF_MAX)
		most = BACKOFF_MAX;
	if (retry_after_s > 0)
		clock_sleep_ms(1000 *
		               (retry_after_s < RETRY_AFTER_S ? retry_after_s : RETRY_AFTER_S));
	clock_sleep_ms(1 + randombytes_uniform(most));
}

int s3_call(struct s3 *s, const struct s3_req *req, struct s3_res *ret, struct err *e)
{
	struct err why = ERR_INIT;

	for (int tries = 0;; tries++) {
		long retry_after_s = 0;

		why = ERR_INIT;
		s3_res_done(ret);
		*ret = (struct s3_res){ 0 };
		fault_point("store.s3.call");
		if (try_once(s, req, ret, &retry_after_s, &why) == 0)
			return 0;
		if (tries >= s->retries || !is_worth_another(&why))
			break;
		back_off(tries, retry_after_s);
	}
	*e = why;
	return -1;
}
