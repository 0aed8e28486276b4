#ifndef STREAM_H
#define STREAM_H

#include "engine/internal.h"

/* A backup's entries with their data, in order: read ahead, opened by several workers, handed to the
 * sink on the caller's thread. Each member but on_entry may be NULL. */
struct stream_sink {
	bool (*wants)(void *ctx, const struct record *r); /* else it is skipped; NULL: all */
	int (*on_entry)(void *ctx, const struct record *r, struct err *e);
	int (*on_data)(void *ctx, const void *data, size_t len, struct err *e);
	int (*on_hole)(void *ctx, uint64_t len, struct err *e);
	int (*on_file_end)(void *ctx, struct err *e);
	void *ctx;
};

/* under: "" or a path. An error of a chunk names its pack. */
int stream_run(const struct engine *en, struct stored_manifest *m, const char *under,
               const struct stream_sink *sink, struct pulse *pulse, struct err *e);

#endif
