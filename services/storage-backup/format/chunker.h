#ifndef CHUNKER_H
#define CHUNKER_H

#include "format/keys.h"

#include <stddef.h>

/*
 * Where a file is cut into chunks, decided by its content (FastCDC: a gear hash with normalised
 * chunking), so that an insertion moves no cut but those beside it. The gear table is each person's own: the
 * chunks' sizes say nothing about what is in them to whoever knows the same file.
 *
 * The sizes: smaller chunks store less after a small change, at 32 bytes of id and some 10 of place
 * each in every manifest. docs/BACKUP_FORMAT.md has the measurements. Any thread.
 */
#define CHUNK_MIN (32 << 10)
#define CHUNK_AVG (128 << 10)
#define CHUNK_MAX (512 << 10)

/* The length of the first chunk of data. With less than CHUNK_MAX bytes, data must be the file's end. */
size_t chunker_cut(const struct keys *k, const unsigned char *data, size_t len);

#endif
