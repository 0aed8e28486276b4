/*
 * One backup or one restore, as a process of its own, so that its time, processor time and memory
 * can be measured from outside:
 *
 *	bench-backup snapshot STORAGE_URL DATA_DIR SCRATCH_DIR BACKUP_ID [BASE_ID]
 *	bench-backup full STORAGE_URL DATA_DIR SCRATCH_DIR BACKUP_ID [BASE_ID]    reads back what it relies on
 *	bench-backup restore STORAGE_URL DATA_DIR SCRATCH_DIR BACKUP_ID TARGET_ID
 *	bench-backup verify STORAGE_URL DATA_DIR SCRATCH_DIR BACKUP_ID
 *	bench-backup mirror STORAGE_URL DATA_DIR SCRATCH_DIR BACKUP_ID [HELD_ID]
 *	bench-backup unmirror STORAGE_URL DATA_DIR SCRATCH_DIR BACKUP_ID
 *	bench-backup clear STORAGE_URL DATA_DIR SCRATCH_DIR BACKUP_ID     deletes it, prunes; in builds
 *	                                          with fault points prunes once more, two days later
 *
 *	bench-backup put|get|head|delete STORAGE_URL KEY FILE     the store alone; get writes FILE
 *	bench-backup list|dirs STORAGE_URL PREFIX FILE            a line an object, into FILE
 *
 * Prints what the engine answered as JSON.
 */

#include "base/uuid.h"
#include "engine/mirror.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>

#define USER     "11111111-1111-4111-8111-111111111111"
#define INSTANCE "33333333-3333-4333-8333-333333333333"

static const char *const secrets[] = { "0123456789abcdef0123456789abcdef", NULL };

static int snapshot(struct engine *en, char **argv, struct engine_totals *t, struct err *e)
{
	char dir[4096];
	struct engine_snapshot_req req = { .ref = { USER, INSTANCE, argv[5] },
		                           .dir = dir,
		                           .is_full = !argv[6] || strcmp(argv[1], "full") == 0,
		                           .base_ids = { argv[6] } };

	snprintf(dir, sizeof(dir), "%s/" USER "/" INSTANCE, argv[3]);
	return engine_snapshot(en, &req, t, e);
}

static int restore(struct engine *en, char **argv, struct engine_totals *t, struct err *e)
{
	char id[UUID_SIZE];
	struct engine_restore_req req = { .ref = { USER, INSTANCE, argv[5] },
		                          .data_dir = argv[3],
		                          .instance_id = argv[6],
		                          .restore_id = id };
	bool is_done = false;

	uuid_make(id);
	if (engine_restore_fetch(en, &req, t, e) < 0 ||
	    engine_restore_swap(en, &req, &is_done, e) < 0)
		return -1;
	return engine_restore_clean(en, &req, e);
}

static int verify(struct engine *en, char **argv, struct engine_totals *t, struct err *e)
{
	struct engine_ref ref = { USER, INSTANCE, argv[5] };
	struct engine_proof proof;

	if (engine_verify(en, &ref, NULL, &proof, e) < 0)
		return -1;
	t->files = proof.files;
	t->chunks = proof.chunks;
	t->bytes = proof.bytes;
	return 0;
}

/* Only what differs from HELD_ID, the backup that lies there, where it is given. */
static int mirror(struct engine *en, char **argv, struct engine_totals *t, struct err *e)
{
	struct mirror_req req = { .place = { USER, INSTANCE, true },
		                  .backup_id = argv[5],
		                  .held_id = argv[6] };
	struct mirror_totals done = { 0 };

	if ((strcmp(argv[1], "mirror") == 0 ? mirror_forward(en, &req, &done, e)
	                                    : mirror_remove(en, &req.place, NULL, &done, e)) < 0)
		return -1;
	t->files = done.files + done.deleted;
	t->bytes = done.bytes;
	return 0;
}

static int clear(struct engine *en, char **argv, struct engine_totals *t, struct err *e)
{
	struct engine_pruned pruned = { 0 };

	unsetenv("ZAKI_FAULT_LATER_S");
	if (engine_delete(en, USER, argv[5], e) < 0 ||
	    engine_prune(en, USER, ENGINE_GRACE_S, NULL, &pruned, e) < 0)
		return -1;
	setenv("ZAKI_FAULT_LATER_S", "172800", 1);
	if (engine_prune(en, USER, ENGINE_GRACE_S, NULL, &pruned, e) < 0)
		return -1;
	t->bytes = pruned.bytes_live;
	t->files = pruned.packs_live;
	return 0;
}

static bool on_object(void *ctx, const struct storage_object *object)
{
	fprintf(ctx, "%lld %s\n", object->size, object->key);
	return true;
}

static bool on_dir(void *ctx, const char *prefix)
{
	fprintf(ctx, "dir %s\n", prefix);
	return true;
}

static int get(struct storage *s, const char *key, FILE *out, struct err *e)
{
	OWN(mem) char *buf = malloc(1 << 20);
	long long at = 0;
	size_t got = 0;

	do {
		if (storage_get(s, key, at, buf, 1 << 20, &got, e) < 0)
			return -1;
		fwrite(buf, 1, got, out);
		at += (long long)got;
	} while (got > 0);
	return 0;
}

static int put(struct storage *s, const char *key, const char *path, struct err *e)
{
	OWN(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, ERR_NOT_FOUND, "no file %s", path);
	return storage_put_file(s, key, fd, st.st_size, e);
}

/* argv: name, what, url, key, file */
static int store_alone(struct storage *s, char **argv, struct engine_totals *t, struct err *e)
{
	const char *what = argv[1];
	struct storage_list_to to = { .on_object = on_object };
	FILE *out;
	int r;

	if (strcmp(what, "put") == 0)
		return put(s, argv[3], argv[4], e);
	if (strcmp(what, "head") == 0)
		return storage_head(s, argv[3], &t->bytes, e);
	if (strcmp(what, "delete") == 0)
		return storage_delete(s, argv[3], e);
	out = fopen(argv[4], "w");
	if (!out)
		return err_set(e, ERR_NOT_FOUND, "no file %s", argv[4]);
	to.ctx = out;
	to.on_dir = strcmp(what, "dirs") == 0 ? on_dir : NULL;
	r = strcmp(what, "get") == 0 ? get(s, argv[3], out, e) : storage_list(s, argv[3], &to, e);
	fclose(out);
	return r;
}

static int run(char **argv, struct engine_totals *t, struct err *e)
{
	struct storage_opt store = { .url = argv[2],
		                     .access_key = getenv("R2_ACCESS_KEY_ID"),
		                     .secret_key = getenv("R2_SECRET_ACCESS_KEY"),
		                     .retries = getenv("RETRIES")
		                                        ? (int)strtol(getenv("RETRIES"), NULL, 10)
		                                        : 0 };
	OWN(storage) struct storage *storage = NULL;
	OWN(engine) struct engine *en = NULL;
	struct engine_opt opt = { .secrets = secrets, .scratch_dir = argv[4] };

	if (storage_open(&store, &storage, e) < 0)
		return -1;
	if (!argv[5])
		return store_alone(storage, argv, t, e);
	opt.storage = storage;
	if (engine_open(&opt, &en, e) < 0)
		return -1;
	if (strcmp(argv[1], "snapshot") == 0 || strcmp(argv[1], "full") == 0)
		return snapshot(en, argv, t, e);
	if (strcmp(argv[1], "restore") == 0)
		return restore(en, argv, t, e);
	if (strcmp(argv[1], "clear") == 0)
		return clear(en, argv, t, e);
	if (strstr(argv[1], "mirror"))
		return mirror(en, argv, t, e);
	return verify(en, argv, t, e);
}

int main(int argc, char **argv)
{
	struct engine_totals t = { 0 };
	struct err e = ERR_INIT;

	if (argc < 5 || sodium_init() < 0)
		return 2;
	if (run(argv, &t, &e) < 0) {
		fprintf(stderr, "%s: %s\n", err_name(e.code), e.msg);
		return 1;
	}
	printf("{\"files\": %lld, \"bytes\": %lld, \"chunks\": %lld, \"chunks_new\": %lld, "
	       "\"bytes_stored\": %lld}\n",
	       t.files, t.bytes, t.chunks, t.chunks_new, t.bytes_stored);
	return 0;
}
