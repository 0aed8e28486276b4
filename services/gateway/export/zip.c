#include "export/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct zip {
	zip_sink *sink;
	void *ctx;
	locale_t locale; /* in which libarchive takes a name for UTF-8 */
	struct archive *archive;
	bool is_broken; /* the sink has failed: nothing is written any more */
};

/* libarchive 3.6 leaks a file's compressor when a write fails: it is not told, and what it still writes
 * goes nowhere. */
static la_ssize_t put(struct archive *a, void *ctx, const void *data, size_t len)
{
	struct zip *z = ctx;

	(void)a;
	if (!z->is_broken && z->sink(z->ctx, data, len) < 0)
		z->is_broken = true;
	return (la_ssize_t)len;
}

static int failed(struct zip *z, const char *what, struct err *e)
{
	const char *why = archive_error_string(z->archive);

	if (z->is_broken)
		return err_set(e, ERR_INTERNAL, "%s: nobody reads it any more", what);
	return err_set(e, ERR_INTERNAL, "%s: %s", what, why ? why : "libarchive does not say why");
}

static int start(struct zip *z, struct err *e)
{
	z->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (!z->locale)
		return err_set(e, ERR_INTERNAL, "there is no locale C.UTF-8");
	z->archive = archive_write_new();
	if (!z->archive)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (archive_write_set_format_zip(z->archive) != ARCHIVE_OK ||
	    archive_write_zip_set_compression_deflate(z->archive) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(z->archive, ZIP_BLOCK) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(z->archive, 1) != ARCHIVE_OK ||
	    archive_write_open(z->archive, z, NULL, put, NULL) != ARCHIVE_OK)
		return failed(z, "a zip file", e);
	return 0;
}

int zip_open(zip_sink *sink, void *ctx, struct zip **ret, struct err *e)
{
	struct zip *z = calloc(1, sizeof(*z));

	if (!z)
		return err_set(e, ERR_INTERNAL, "out of memory");
	z->sink = sink;
	z->ctx = ctx;
	if (start(z, e) < 0) {
		zip_free(z);
		return -1;
	}
	*ret = z;
	return 0;
}

int zip_begin(struct zip *z, const char *name, struct err *e)
{
	struct archive_entry *entry;
	locale_t before;
	int r;

	if (z->is_broken)
		return failed(z, name, e);
	entry = archive_entry_new();
	if (!entry)
		return err_set(e, ERR_INTERNAL, "out of memory");
	/* This thread's alone: the process keeps its own. */
	before = uselocale(z->locale);
	archive_entry_copy_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0600);
	archive_entry_set_mtime(entry, time(NULL), 0);
	r = archive_write_header(z->archive, entry);
	uselocale(before);
	archive_entry_free(entry);
	return r == ARCHIVE_OK && !z->is_broken ? 0 : failed(z, name, e);
}

int zip_write(struct zip *z, const void *data, size_t len, struct err *e)
{
	if (len == 0)
		return 0;
	if (z->is_broken || archive_write_data(z->archive, data, len) != (la_ssize_t)len ||
	    z->is_broken)
		return failed(z, "a zip file's data", e);
	return 0;
}

int zip_finish(struct zip *z, struct err *e)
{
	if (z->is_broken || archive_write_close(z->archive) != ARCHIVE_OK || z->is_broken)
		return failed(z, "a zip file's end", e);
	return 0;
}

void zip_free(struct zip *z)
{
	if (!z)
		return;
	/* Closing would write a directory. */
	z->is_broken = true;
	if (z->archive)
		archive_write_free(z->archive);
	if (z->locale)
		freelocale(z->locale);
	free(z);
}

bool zip_name_is_safe(const char *name)
{
	size_t len;

	if (!name[0] || strchr(name, '\\') || strchr(name, ':'))
		return false;
	for (;; name += len + 1) {
		len = strcspn(name, "/");
		if (len == 0 || (len == 1 && name[0] == '.') ||
		    (len == 2 && name[0] == '.' && name[1] == '.'))
			return false;
		if (!name[len])
			return true;
	}
}
