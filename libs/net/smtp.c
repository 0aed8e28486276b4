#include "net/smtp.h"

#include "base/own.h"

#include <curl/curl.h>
#include <string.h>

OWN_DEFINE(curl_easy, CURL *, curl_easy_cleanup)
OWN_DEFINE(curl_list, struct curl_slist *, curl_slist_free_all)
OWN_DEFINE(curl_url, CURLU *, curl_url_cleanup)

/* What is still to be sent. */
struct upload {
	const char *data;
	size_t left;
};

static size_t on_read(char *to, size_t size, size_t count, void *ctx)
{
	struct upload *u = ctx;
	size_t n = size * count;

	if (n > u->left)
		n = u->left;
	memcpy(to, u->data, n);
	u->data += n;
	u->left -= n;
	return n;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	const volatile bool *stop = ctx;

	(void)dt;
	(void)dn;
	(void)ut;
	(void)un;
	return stop && __atomic_load_n(stop, __ATOMIC_RELAXED);
}

int smtp_check(const struct smtp_opt *opt, struct err *e)
{
	OWN(curl_url) CURLU *url = curl_url();
	char *scheme = NULL;
	bool is_known;

	if (!url)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (curl_url_set(url, CURLUPART_URL, opt->url, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
		return err_field(e, "SMTP_URL", "is not smtp://HOST:PORT or smtps://HOST:PORT");
	is_known = strcmp(scheme, "smtp") == 0 || strcmp(scheme, "smtps") == 0;
	curl_free(scheme);
	return is_known ? 0
	                : err_field(e, "SMTP_URL", "is not smtp://HOST:PORT or smtps://HOST:PORT");
}

/* What a failed transfer means for the mail. The last reply code of the server tells a refusal for
 * good (5yz to the recipient or the data) from trouble that passes; a refused login is trouble of
 * ours. */
static int failed(CURL *easy, CURLcode code, struct err *e)
{
	long reply = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &reply);
	if (reply >= 550 && reply < 560 && code != CURLE_LOGIN_DENIED)
		return err_set(e, ERR_INVALID, "the mail server refuses it with %ld", reply);
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_ABORTED_BY_CALLBACK:
		return err_set(e, ERR_UNAVAILABLE, "mail server: %s", curl_easy_strerror(code));
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, ERR_TIMEOUT, "mail server: no answer in time");
	case CURLE_OUT_OF_MEMORY:
		return err_set(e, ERR_INTERNAL, "out of memory");
	default:
		return err_set(e, ERR_UPSTREAM, "mail server: %s, last reply %ld",
		               curl_easy_strerror(code), reply);
	}
}

static bool set_options(CURL *easy, const struct smtp_opt *opt, const volatile bool *stop)
{
	return curl_easy_setopt(easy, CURLOPT_URL, opt->url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USE_SSL,
	                        (long)(opt->is_plain ? CURLUSESSL_NONE : CURLUSESSL_ALL)) ==
	               CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)opt->connect_ms) ==
	               CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)opt->timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_XFERINFODATA, (void *)stop) == CURLE_OK;
}

int smtp_send(const struct smtp_opt *opt, const struct smtp_mail *mail, const volatile bool *stop,
              struct err *e)
{
	OWN(curl_easy) CURL *easy = curl_easy_init();
	OWN(curl_list) struct curl_slist *to = curl_slist_append(NULL, mail->to);
	struct upload upload = { mail->data, mail->len };
	CURLcode code;

	if (!easy || !to)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (!set_options(easy, opt, stop) ||
	    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, mail->from) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_READDATA, &upload) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)mail->len) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) != CURLE_OK)
		return err_set(e, ERR_INTERNAL, "libcurl refuses its options");
	code = curl_easy_perform(easy);
	return code == CURLE_OK ? 0 : failed(easy, code, e);
}
