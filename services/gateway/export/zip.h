#ifndef GATEWAY_EXPORT_ZIP_H
#define GATEWAY_EXPORT_ZIP_H

#include "base/err.h"
#include "base/own.h"

#include <stddef.h>

/*
 * A zip file that goes out while it is made, by libarchive: deflate, ZIP64 where it is needed, names in
 * UTF-8. Of what went out only the names stay in memory, for the directory at the end. One thread.
 */
#define ZIP_BLOCK 65536 /* bytes that are written at a time */

/* -1: whoever reads is gone. */
typedef int zip_sink(void *ctx, const void *data, size_t len);

struct zip;

/* Keeps sink and ctx. ERR_INTERNAL: libarchive or the locale C.UTF-8 is not there. */
int zip_open(zip_sink *sink, void *ctx, struct zip **ret, struct err *e);

/* The next file; the one before it is ended. ERR_INTERNAL, also once the sink has failed. */
int zip_begin(struct zip *z, const char *name, struct err *e);
int zip_write(struct zip *z, const void *data, size_t len, struct err *e);

/* Writes the directory, without which it is no zip file. */
int zip_finish(struct zip *z, struct err *e);

/* Writes nothing more: one that was not finished stays without its end. NULL is fine. */
void zip_free(struct zip *z);

OWN_DEFINE(zip, struct zip *, zip_free)

/* Whether a name stays in the folder that the zip is unpacked into, on any system. */
bool zip_name_is_safe(const char *name);

#endif
