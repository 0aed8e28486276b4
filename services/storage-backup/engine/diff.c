#include "engine/look.h"

#include "engine/snapshot.h"
#include "format/mem.h"

#include "base/uuid.h"

#include <errno.h>

/* Two manifests side by side, both in path order: a directory as it is now is made into one first. */
struct side {
	struct stored_manifest m;
	struct looker look;
	bool is_end;
	int fd; /* of a directory's: the scratch file */
};

struct differ {
	const struct engine_diff_req *req;
	struct side first, second;
};

static void own_differ(struct differ *const *at)
{
	struct differ *d = *at;

	if (!d)
		return;
	stored_manifest_done(&d->first.m);
	stored_manifest_done(&d->second.m);
	if (d->second.fd >= 0)
		close(d->second.fd);
	free(d);
}

static int fd_read(void *ctx, long long offset, void *buf, size_t len, size_t *ret_len,
                   struct err *e)
{
	const struct side *s = ctx;
	ssize_t n;

	do
		n = pread(s->fd, buf, len, offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return file_error(e, "scratch file");
	*ret_len = (size_t)n;
	return 0;
}

static int dir_open(struct engine *en, struct differ *d, struct err *e)
{
	char id[UUID_SIZE];
	struct engine_snapshot_req req = { .ref = d->req->ref,
		                           .dir = d->req->with_dir,
		                           .base_ids = { d->req->ref.backup_id } };
	struct manifest_opt opt = { .source = { fd_read, &d->second } };
	struct dry dry;

	uuid_make(id);
	req.ref.backup_id = id;
	req.ref.instance_id = manifest_head(d->first.m.reader)->instance_id;
	if (snapshot_dry(en, &req, d->req->under, manifest_keys(d->first.m.reader), &dry, e) < 0)
		return -1;
	d->second.fd = dry.fd;
	if (key_ring_new(en, d->req->ref.user_id, &d->second.m.ring, e) < 0)
		return -1;
	snprintf(d->second.m.key.text, sizeof(d->second.m.key.text), "the directory");
	opt.keys = d->second.m.ring->keys;
	opt.key_count = d->second.m.ring->count;
	opt.backup_id = dry.backup_id;
	return manifest_open(&opt, &d->second.m.reader, e);
}

/* The next entry that is asked for. */
static int step(const struct differ *d, struct side *s, struct err *e)
{
	do {
		if (looker_next(&s->look, &s->is_end, e) < 0)
			return -1;
	} while (!s->is_end &&
	         !record_path_is_under(s->look.path, strlen(s->look.path), d->req->under));
	return 0;
}

static bool is_other_content(const struct engine_entry *a, const struct engine_entry *b)
{
	if (a->type != b->type)
		return true;
	if (a->type == 'l')
		return strcmp(a->target, b->target) != 0;
	return a->type == 'f' && (a->size != b->size || strcmp(a->content, b->content) != 0);
}

/* True: go on. */
static bool both(const struct differ *d)
{
	const struct engine_entry *a = &d->first.look.entry, *b = &d->second.look.entry;
	struct engine_change c = { .kind = '~', .before = a, .after = b };

	c.is_content = is_other_content(a, b);
	if (!c.is_content && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid)
		return true;
	return d->req->on_change(d->req->ctx, &c);
}

static bool one(const struct differ *d, bool is_first)
{
	struct engine_change c = { .kind = is_first ? '-' : '+',
		                   .is_content = true,
		                   .before = is_first ? &d->first.look.entry : NULL,
		                   .after = is_first ? NULL : &d->second.look.entry };

	return d->req->on_change(d->req->ctx, &c);
}

static int merge(struct differ *d, struct err *e)
{
	if (step(d, &d->first, e) < 0 || step(d, &d->second, e) < 0)
		return -1;
	while (!d->first.is_end || !d->second.is_end) {
		const char *a = d->first.look.path, *b = d->second.look.path;
		int order = d->first.is_end    ? 1
		            : d->second.is_end ? -1
		                               : record_path_order(a, strlen(a), b, strlen(b));
		bool go_on = order ? one(d, order < 0) : both(d);

		if (!go_on)
			return 0;
		if ((order <= 0 && step(d, &d->first, e) < 0) ||
		    (order >= 0 && step(d, &d->second, e) < 0))
			return -1;
	}
	return 0;
}

int engine_diff(struct engine *en, const struct engine_diff_req *req, struct err *e)
{
	__attribute__((cleanup(own_differ))) struct differ *d = mem_new(sizeof(*d));
	struct engine_ref second = { req->ref.user_id, NULL, req->with_backup_id };

	if (!d)
		return err_set(e, ERR_INTERNAL, "out of memory");
	d->req = req;
	d->second.fd = -1;
	if (!req->with_backup_id == !req->with_dir)
		return err_set(e, ERR_INVALID, "compare with a backup or with a directory");
	if (stored_manifest_open(en, &req->ref, &d->first.m, e) < 0)
		return -1;
	if (req->with_dir ? dir_open(en, d, e) < 0
	                  : stored_manifest_open(en, &second, &d->second.m, e) < 0)
		return -1;
	d->first.look.m = &d->first.m;
	d->second.look.m = &d->second.m;
	return merge(d, e);
}
