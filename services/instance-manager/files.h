#ifndef FILES_H
#define FILES_H

#include "base/err.h"
#include "base/own.h"
#include "base/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Instances' directories: DATA_DIR/<user id>/<instance id>/{.openclaw,workspace}. The inner two
 * belong to the container's user, mode 0700; the two above them belong to this process and are not
 * visible in a container. What lies in the inner ones is an enemy's: links, pipes, deep trees. So
 * every step is taken from an open directory, no link is ever followed, and nothing is opened that
 * is not a plain file or directory.
 *
 * Every call may be repeated after a crash at any point. Any thread, one call an instance at a
 * time. A full disk is ERR_UNAVAILABLE that says so.
 */
#define FILES_CONFIG_MAX (256 * 1024) /* bytes of a config file */

struct files;

/* Makes DATA_DIR if it is not there. ERR_INVALID with the field DATA_DIR when it is no absolute
 * path, cannot be used, or this process could not give files to the container's user. */
int files_open(const char *data_dir, struct files **ret, struct err *e);
void files_close(struct files *f); /* NULL is fine */

/* Makes what is missing of an instance's directories; sets owner and mode of what is there. */
int files_make(struct files *f, const char *user_id, const char *instance_id, struct err *e);

/*
 * Puts text into .openclaw/openclaw.json, owner and mode 0600 of the container's user, whole or not
 * at all: a crash leaves the old file or the new. One with the same text is left alone
 * (*ret_changed, may be NULL, is false), since OpenClaw reloads on every write.
 */
int files_write_config(struct files *f, const char *user_id, const char *instance_id,
                       const char *text, bool *ret_changed, struct err *e);

/* The instance's own directory and its workspace, open; the caller closes both. ERR_NOT_FOUND: they
 * are not there. */
int files_open_workspace(struct files *f, const char *user_id, const char *instance_id,
                         int *ret_instance, int *ret_workspace, struct err *e);

/* For those who work in such directories; each fails with errno. A folder of the container's user
 * in an open one: made where it is not there. A file of theirs with this text, on the disk; one
 * that is there goes. */
int files_make_dir(int parent, const char *name);
int files_put_new(int dir, const char *name, const char *text, size_t len, mode_t mode);

/* DATA_DIR/<user id>, open; -1 with errno. A directory in it, removed with all that is in it; absent:
 * fine. */
int files_open_user(struct files *f, const char *user_id);
int files_remove_dir(int parent, const char *name);

/* The failing call's errno as an error; a full disk is not a bug. */
int files_err(struct err *e, const char *what);

/* Removes all an instance has, and the user's directory with the last one. Absent: fine. */
int files_delete(struct files *f, const char *user_id, const char *instance_id, struct err *e);

/* Does the instance's directory exist? */
int files_exists(struct files *f, const char *user_id, const char *instance_id, bool *ret,
                 struct err *e);

/* Every instance's directory, in no order; names that are no ids are passed over. false ends. */
typedef bool files_on_instance(const char *user_id, const char *instance_id, void *ctx);
int files_each(struct files *f, files_on_instance *on_instance, void *ctx, struct err *e);

OWN_DEFINE(files, struct files *, files_close)

#endif
