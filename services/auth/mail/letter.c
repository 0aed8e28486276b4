#include "mail/letter.h"

#include "base/own.h"

#include <sodium.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#define PART_MAX   8192 /* bytes of one part before it is base64 */
#define LETTER_MAX 32768
#define LINE_CHARS 76 /* of base64 in a line (RFC 2045) */
#define DATE_SIZE  48

const struct mail_row mail_rows[MAIL_COUNT] = {
#define MAIL(id, name, purpose, valid_s, path, to, subject, text, button) \
	[MAIL_##id] = { name, purpose, valid_s, path, MAIL_TO_##to, subject, text, button },
#include "mail/mails.def"
#undef MAIL
};

const struct mail_row *mail_row_find(const char *name)
{
	for (size_t i = 0; i < MAIL_COUNT; i++)
		if (strcmp(mail_rows[i].name, name) == 0)
			return &mail_rows[i];
	return NULL;
}

/* A text that grows in a place of fixed size; is_full once something did not fit. */
struct text {
	char *data;
	size_t len, size;
	bool is_full;
};

static void put(struct text *t, const char *s, size_t len)
{
	if (len >= t->size - t->len) {
		t->is_full = true;
		return;
	}
	memcpy(t->data + t->len, s, len);
	t->len += len;
	t->data[t->len] = '\0';
}

static __attribute__((format(printf, 2, 3))) void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->data + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->size - t->len)
		t->is_full = true;
	else
		t->len += (size_t)n;
}

/* Whatever a value holds, in HTML it is text, and stays in its attribute. */
static void put_html(struct text *t, const char *s)
{
	for (; *s; s++) {
		const char *as = *s == '&'    ? "&amp;"
		                 : *s == '<'  ? "&lt;"
		                 : *s == '>'  ? "&gt;"
		                 : *s == '"'  ? "&quot;"
		                 : *s == '\'' ? "&#39;"
		                              : NULL;

		put(t, as ? as : s, as ? strlen(as) : 1);
	}
}

static void put_value(struct text *t, bool is_html, const char *s)
{
	if (is_html)
		put_html(t, s);
	else
		put(t, s, strlen(s));
}

/* As a header has it (RFC 5322), or as people read it. */
static void date_text(long long unix_ms, bool is_header, char ret[DATE_SIZE])
{
	time_t s = (time_t)(unix_ms / 1000);
	struct tm tm;

	gmtime_r(&s, &tm);
	if (is_header)
		(void)strftime(ret, DATE_SIZE, "%a, %d %b %Y %H:%M:%S +0000", &tm);
	else
		(void)strftime(ret, DATE_SIZE, "%d %B %Y at %H:%M UTC", &tm);
}

/* One paragraph of the row's text, len bytes, with its {names} replaced. */
static void put_paragraph(struct text *t, const struct letter *l, bool is_html, const char *s,
                          size_t len)
{
	char when[DATE_SIZE];
	const struct {
		const char *name, *value;
	} values[] = {
		{ "{email}", l->email },
		{ "{detail}", l->detail ? l->detail : "" },
		{ "{from}", l->address ? l->address : "an address that is not known" },
		{ "{when}", when },
	};

	date_text(l->asked_ms, false, when);
	for (size_t i = 0; i < len;) {
		size_t k = 0, n = 1;

		while (k < COUNT(values) &&
		       strncmp(s + i, values[k].name, strlen(values[k].name)) != 0)
			k++;
		if (k < COUNT(values)) {
			put_value(t, is_html, values[k].value);
			n = strlen(values[k].name);
		} else if (is_html) {
			char one[] = { s[i], '\0' };

			put_html(t, one);
		} else {
			put(t, s + i, 1);
		}
		i += n;
	}
}

static void put_paragraphs(struct text *t, const struct letter *l, bool is_html)
{
	const char *s = l->row->text;

	while (*s) {
		const char *end = strstr(s, "\n\n");
		size_t len = end ? (size_t)(end - s) : strlen(s);

		add(t, "%s", is_html ? "<p style=\"line-height:1.5\">" : "");
		put_paragraph(t, l, is_html, s, len);
		add(t, "%s", is_html ? "</p>\n" : "\r\n\r\n");
		s += len + (end ? 2 : 0);
	}
}

/* The token goes behind a '#': what stands there reaches no server's log and no Referer. */
static void put_url(struct text *t, const struct letter *l, bool is_html)
{
	put_value(t, is_html, l->public_url);
	add(t, "%s#token=%s", l->row->path, l->token);
}

static void write_plain(struct text *t, const struct letter *l)
{
	put_paragraphs(t, l, false);
	if (l->row->path) {
		add(t, "%s:\r\n", l->row->button);
		put_url(t, l, false);
		add(t, "\r\n\r\n");
	}
	add(t, "-- \r\nZaki, %s\r\n", l->public_url);
}

static void write_html(struct text *t, const struct letter *l)
{
	add(t, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
	put_html(t, l->row->subject);
	add(t,
	    "</title></head>\n<body style=\"font-family:sans-serif;max-width:36em;margin:2em auto;"
	    "color:#222\">\n<h1 style=\"font-size:1.3em\">");
	put_html(t, l->row->subject);
	add(t, "</h1>\n");
	put_paragraphs(t, l, true);
	if (l->row->path) {
		add(t, "<p><a style=\"display:inline-block;padding:.7em 1.2em;background:#1f4fd8;"
		       "color:#fff;text-decoration:none;border-radius:6px\" href=\"");
		put_url(t, l, true);
		add(t, "\">");
		put_html(t, l->row->button);
		add(t, "</a></p>\n<p style=\"color:#666;font-size:.9em\">Or open this address: ");
		put_url(t, l, true);
		add(t, "</p>\n");
	}
	add(t, "<p style=\"color:#666;font-size:.9em\">Zaki, ");
	put_html(t, l->public_url);
	add(t, "</p>\n</body></html>\n");
}

/* A part in base64: any text, any length of line, and nothing that a relay may change. */
static int put_part(struct text *out, const struct letter *l, struct arena *a, bool is_html,
                    struct err *e)
{
	struct text part = { .data = arena_alloc(a, PART_MAX), .size = PART_MAX };
	size_t size = sodium_base64_encoded_len(PART_MAX, sodium_base64_VARIANT_ORIGINAL);
	char *base64 = arena_alloc(a, size);

	if (!part.data || !base64)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (is_html)
		write_html(&part, l);
	else
		write_plain(&part, l);
	if (part.is_full)
		return err_set(e, ERR_INTERNAL, "mail '%s' is too long", l->row->name);
	(void)sodium_bin2base64(base64, size, (const unsigned char *)part.data, part.len,
	                        sodium_base64_VARIANT_ORIGINAL);
	add(out,
	    "--%s\r\nContent-Type: text/%s; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n",
	    l->id, is_html ? "html" : "plain");
	for (size_t at = 0, len = strlen(base64); at < len; at += LINE_CHARS)
		add(out, "%.*s\r\n", LINE_CHARS, base64 + at);
	sodium_memzero(part.data, PART_MAX);
	sodium_memzero(base64, size);
	return 0;
}

int letter_write(const struct letter *l, struct arena *a, const char **ret, struct err *e)
{
	struct text t = { .data = arena_alloc(a, LETTER_MAX), .size = LETTER_MAX };
	const char *domain = strchr(l->from, '@');
	char date[DATE_SIZE];

	if (!t.data)
		return err_set(e, ERR_INTERNAL, "out of memory");
	date_text(l->now_ms, true, date);
	add(&t,
	    "From: Zaki <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s%s>\r\n"
	    "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n",
	    l->from, l->to, l->row->subject, date, l->id, domain ? domain : "@localhost", l->id);
	if (put_part(&t, l, a, false, e) < 0 || put_part(&t, l, a, true, e) < 0)
		return -1;
	add(&t, "--%s--\r\n", l->id);
	if (t.is_full)
		return err_set(e, ERR_INTERNAL, "mail '%s' is too long", l->row->name);
	*ret = t.data;
	return 0;
}
