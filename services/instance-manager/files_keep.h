#ifndef FILES_KEEP_H
#define FILES_KEEP_H

#include "files.h"

/*
 * An instance's files as they are, kept aside while another version of OpenClaw works on them, and put
 * back where it fails: a copy of its directory beside it, DATA_DIR/<user id>/.kept-<instance id>. The
 * copy has contents, names, owners, modes, times, links (hard ones too) and holes of the original; what
 * is no file, folder, link or pipe is left out. Nothing may run on the files meanwhile.
 *
 * Every call may be repeated after a crash at any point. A full disk is ERR_UNAVAILABLE.
 */
#define FILES_KEEP_DEPTH 128 /* folders in folders */

/* Copies; a copy that is complete stays as it is. ERR_CONFLICT: deeper than FILES_KEEP_DEPTH. */
int files_keep(struct files *f, const char *user_id, const char *instance_id, struct err *e);

/* Where a copy is kept: what is in its place goes beside it. */
int files_move_aside(struct files *f, const char *user_id, const char *instance_id, struct err *e);

/* After that: the copy is put in its place, and what went beside it is removed. */
int files_put_back(struct files *f, const char *user_id, const char *instance_id, struct err *e);

/* Removes the copy, complete or not. */
int files_drop_kept(struct files *f, const char *user_id, const char *instance_id, struct err *e);

/* The same, in the open directory of the user; -1 with errno. */
int files_forget_kept(int user, const char *instance_id);

#endif
