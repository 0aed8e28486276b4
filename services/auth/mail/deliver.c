#include "mail/deliver.h"

#include "mail/courier.h"
#include "net/smtp.h"
#include "wire/format.h"

#include <errno.h>
#include <fcntl.h>

static struct smtp_opt smtp_of(const struct app *app)
{
	return (struct smtp_opt){
		.url = app->smtp_url,
		.is_plain = strcmp(app->smtp_tls, "off") == 0,
		.connect_ms = MAIL_CONNECT_MS,
		.timeout_ms = MAIL_TIMEOUT_MS,
	};
}

int deliver_check(struct app *app, struct err *e)
{
	const struct smtp_opt opt = smtp_of(app);
	size_t len = strlen(app->public_url);

	if (strcmp(app->smtp_tls, "require") != 0 && strcmp(app->smtp_tls, "off") != 0)
		return err_field(e, "SMTP_TLS", "must be require or off");
	if (wire_format_check(WIRE_FORMAT_EMAIL, app->mail_from))
		return err_field(e, "MAIL_FROM", "must be an e-mail address");
	if (wire_format_check(WIRE_FORMAT_URL, app->public_url) ||
	    (len > 0 && app->public_url[len - 1] == '/'))
		return err_field(e, "PUBLIC_URL",
		                 "must be an http or https URL without a / at its end");
	if (app->smtp_url[0])
		return smtp_check(&opt, e);
	return app->mail_dir[0] ? 0 : err_field(e, "SMTP_URL", "must be set, or MAIL_DIR");
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd);
}

/* A crash before the rename leaves a temporary file, which the next try writes over. */
static int write_file(const char *dir, const char *id, const char *text, struct err *e)
{
	char temporary[4300], path[4300];
	OWN(fd) int fd = -1;

	snprintf(temporary, sizeof(temporary), "%s/.%s.tmp", dir, id);
	snprintf(path, sizeof(path), "%s/%s.eml", dir, id);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, text, strlen(text)) < 0 || rename(temporary, path) < 0)
		return err_set(e, ERR_UPSTREAM, "MAIL_DIR: %s", strerrordesc_np(errno));
	return 0;
}

int deliver(struct app *app, const char *id, const char *to, const char *text, struct err *e)
{
	const struct smtp_opt opt = smtp_of(app);
	const struct smtp_mail mail = { app->mail_from, to, text, strlen(text) };

	if (!app->smtp_url[0])
		return write_file(app->mail_dir, id, text, e);
	return smtp_send(&opt, &mail, &app->is_stopping, e);
}
