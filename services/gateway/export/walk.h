#ifndef GATEWAY_EXPORT_WALK_H
#define GATEWAY_EXPORT_WALK_H

#include "export/zip.h"

#include "bus/bus.h"

#include <cjson/cJSON.h>

/*
 * Puts what export.def says into a zip, one answer of a service in memory at a time. What a service
 * does not give (it is away, an assistant sleeps, a file is longer than a message) is left out, and
 * manifest.json, the last file, says what and why; so the zip is whole, and does not hide what is not
 * in it. One thread.
 */
#define WALK_S           900   /* seconds in all; what is not there by then is left out */
#define WALK_FILES_MAX   50000 /* in one zip: their names are what is kept in memory */
#define WALK_PAGES_MAX   10000 /* of one list */
#define WALK_MISSING_MAX 1000  /* that manifest.json names; past it they are counted */

struct walk {
	struct bus *bus;
	const struct bus_ctx *ctx; /* on whose behalf */
	struct zip *zip;

	/* Whether the person may still have it: asked before each file. -1 ends it. NULL: always. */
	int (*may_go_on)(void *closure, struct err *e);
	void *closure;

	/* What has come of it. */
	long long files, left_out;
	bool is_over;   /* nothing more can be written */
	cJSON *missing; /* walk_done() */
	long long end_ms;
};

/* All of it, manifest.json too. -1: it could not be written to its end. */
int walk_account(struct walk *w, struct err *e);
void walk_done(struct walk *w);

/* The two tables of export.def, for their test. */
enum walk_of { OF_ACCOUNT, OF_ASSISTANT, OF_CONVERSATION, OF_FILE };
enum walk_how { HOW_ONE, HOW_PAGES, HOW_BYTES };

struct walk_part {
	enum walk_of of;
	const char *file;
	enum subject_id subject;
	enum walk_how how;
};

struct walk_each {
	enum walk_of of, each;
	enum subject_id subject;
	const char *item, *becomes, *if_has;
};

extern const struct walk_part walk_parts[];
extern const size_t walk_part_count;
extern const struct walk_each walk_eaches[];
extern const size_t walk_each_count;

#endif
