#include "engine/mirror_internal.h"

#include "format/mem.h"

#include "base/uuid.h"
#include "engine/stream.h"

#include <errno.h>

#define USERS     "users/"
#define INSTANCES "instances/"

static int place_check(const struct mirror_place *p, struct err *e)
{
	if (!p->user_id || !uuid_is_valid(p->user_id))
		return err_field(e, "user_id", "is no UUID");
	if (!p->instance_id || !uuid_is_valid(p->instance_id))
		return err_field(e, "instance_id", "is no UUID");
	return 0;
}

static void mirror_done(struct mirror *m)
{
	if (!m)
		return;
	if (m->deletes)
		fclose(m->deletes);
	if (m->puts)
		fclose(m->puts);
	free(m);
}
OWN_DEFINE(mirror, struct mirror *, mirror_done)

/* NULL with *e. */
static struct mirror *mirror_new(struct engine *en, const struct mirror_place *place,
                                 const struct engine_watch *watch, struct mirror_totals *totals,
                                 struct err *e)
{
	OWN(mirror) struct mirror *m = mem_new(sizeof(*m));

	*totals = (struct mirror_totals){ 0 };
	if (!m) {
		err_set(e, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	if (place_check(place, e) < 0 || mirror_list_new(en, &m->deletes, e) < 0)
		return NULL;
	m->en = en;
	m->totals = totals;
	m->pulse = (struct pulse){ .watch = watch, .progress.step = "compare" };
	m->prefix = key_of_user(place->user_id);
	if (!place->has_seat)
		snprintf(m->prefix.text, sizeof(m->prefix.text), USERS "%s/" INSTANCES "%s/",
		         place->user_id, place->instance_id);
	return TAKE(m);
}

/* Files' names are people's: an error goes as far as the key. */
static int unnamed(struct err *e)
{
	char *key = strstr(e->msg, USERS);

	if (key)
		snprintf(key, sizeof(e->msg) - (size_t)(key - e->msg), "a file of a mirror");
	return -1;
}

static int delete_listed(struct mirror *m, struct err *e)
{
	for (;;) {
		struct key_text key;
		bool is_end = false;

		if (mirror_list_next(m->deletes, key.text, sizeof(key.text), &is_end, e) < 0)
			return -1;
		if (is_end)
			return 0;
		if (pulse_tell(&m->pulse, false, e) < 0)
			return -1;
		fault_point("mirror.delete");
		if (storage_delete(m->en->storage, key.text, e) < 0)
			return unnamed(e);
		m->totals->deleted++;
	}
}

/* ---- putting ------------------------------------------------------------------------------------ */

struct putter {
	struct mirror *m;
	/* the list of what is to be put, read as the manifest goes by */
	char next[RECORD_PATH_MAX + 1];
	bool is_begun, is_end;
	struct err failure;
	/* the file that is built, in a scratch file without a name */
	int fd;
	struct key_text key;
	uint64_t size, at;
};

static void own_putter(struct putter *const *p)
{
	if (*p && (*p)->fd >= 0)
		close((*p)->fd);
	free(*p);
}

static bool is_listed(struct putter *p, const char *path)
{
	if (!p->m->puts)
		return true;
	while (!p->is_end && !p->failure.code &&
	       (!p->is_begun ||
	        record_path_order(p->next, strlen(p->next), path, strlen(path)) < 0)) {
		p->is_begun = true;
		mirror_list_next(p->m->puts, p->next, sizeof(p->next), &p->is_end, &p->failure);
	}
	return !p->is_end && !p->failure.code && strcmp(p->next, path) == 0;
}

static bool wants(void *ctx, const struct record *r)
{
	struct putter *p = ctx;
	char path[RECORD_PATH_MAX + 1];
	struct key_text key;
	enum mirror_fit fit;

	if (r->type != RECORD_FILE)
		return false;
	memcpy(path, r->path, r->path_len);
	path[r->path_len] = 0;
	fit = mirror_key(p->m, path, &key);
	p->m->totals->left_out += fit == MIRROR_LEFT_OUT;
	p->m->totals->unfit += fit == MIRROR_UNFIT;
	return fit == MIRROR_FITS && is_listed(p, path);
}

static int on_entry(void *ctx, const struct record *r, struct err *e)
{
	struct putter *p = ctx;

	mirror_key(p->m, r->path, &p->key);
	p->size = r->size;
	p->at = 0;
	return ftruncate(p->fd, 0) < 0 ? file_error(e, "scratch file") : 0;
}

static int on_data(void *ctx, const void *data, size_t len, struct err *e)
{
	struct putter *p = ctx;
	const char *from = data;

	while (len > 0) {
		ssize_t n = pwrite(p->fd, from, len, (off_t)p->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_error(e, "scratch file");
		p->at += (uint64_t)n;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

static int on_hole(void *ctx, uint64_t len, struct err *e)
{
	struct putter *p = ctx;

	(void)e;
	p->at += len;
	return 0;
}

/* One that no object can hold is not there, nor is an earlier one of its name. */
static int too_large(struct putter *p, struct err *e)
{
	p->m->totals->unfit++;
	*e = ERR_INIT;
	return storage_delete(p->m->en->storage, p->key.text, e) < 0 ? unnamed(e) : 0;
}

static int on_file_end(void *ctx, struct err *e)
{
	struct putter *p = ctx;

	if (p->at != p->size)
		return err_set(e, ERR_UPSTREAM, "a file is not as long as its manifest says");
	if (ftruncate(p->fd, (off_t)p->size) < 0) /* a hole at the end */
		return file_error(e, "scratch file");
	/* A crash here: what lies there is of both backups; the next pass puts all that differs. */
	fault_point("mirror.put");
	if (storage_put_file(p->m->en->storage, p->key.text, p->fd, (long long)p->size, e) < 0)
		return e->code == ERR_TOO_LARGE ? too_large(p, e) : unnamed(e);
	p->m->totals->files++;
	p->m->totals->bytes += (long long)p->size;
	return 0;
}

static int put_wanted(struct mirror *m, struct err *e)
{
	__attribute__((cleanup(own_putter))) struct putter *p = mem_new(sizeof(*p));
	const struct engine_ref ref = { m->req->place.user_id, m->req->place.instance_id,
		                        m->req->backup_id };
	OWN(stored_manifest) struct stored_manifest manifest = { 0 };
	struct stream_sink sink = { .wants = wants,
		                    .on_entry = on_entry,
		                    .on_data = on_data,
		                    .on_hole = on_hole,
		                    .on_file_end = on_file_end,
		                    .ctx = p };

	if (!p)
		return err_set(e, ERR_INTERNAL, "out of memory");
	p->m = m;
	p->fd = scratch_file(m->en, e);
	if (p->fd < 0 || stored_manifest_open(m->en, &ref, &manifest, e) < 0)
		return -1;
	m->pulse.progress.step = "copy";
	m->pulse.progress.files_total = (long long)manifest_head(manifest.reader)->files;
	m->pulse.progress.bytes_total = (long long)manifest_head(manifest.reader)->bytes;
	if (stream_run(m->en, &manifest, "", &sink, &m->pulse, e) < 0)
		return -1;
	if (!p->failure.code)
		return 0;
	*e = p->failure;
	return -1;
}

/* ---- a pass --------------------------------------------------------------------------------------- */

/* The earlier backup cannot be leaned on any more; if it is the new one, the listing's way says so. */
static bool is_of_a_backup(const struct err *e)
{
	return e->code == ERR_NOT_FOUND || e->code == ERR_UPSTREAM || e->code == ERR_FORBIDDEN;
}

static int plan(struct mirror *m, struct err *e)
{
	struct err why = ERR_INIT;

	if (!m->req->held_id)
		return mirror_plan_by_listing(m, e);
	if (mirror_plan_by_diff(m, &why) == 0)
		return 0;
	if (!is_of_a_backup(&why)) {
		*e = why;
		return -1;
	}
	fclose(TAKE(m->deletes));
	return mirror_list_new(m->en, &m->deletes, e) < 0 ? -1 : mirror_plan_by_listing(m, e);
}

int mirror_forward(struct engine *en, const struct mirror_req *req, struct mirror_totals *ret,
                   struct err *e)
{
	OWN(mirror) struct mirror *m = mirror_new(en, &req->place, &req->watch, ret, e);

	if (!m)
		return -1;
	m->req = req;
	if (plan(m, e) < 0)
		return -1;
	fault_point("mirror.planned");
	/* First what goes: a file may come where a folder was. */
	return delete_listed(m, e) < 0 ? -1 : put_wanted(m, e);
}

int mirror_remove(struct engine *en, const struct mirror_place *place,
                  const struct engine_watch *watch, struct mirror_totals *ret, struct err *e)
{
	OWN(mirror) struct mirror *m = mirror_new(en, place, watch, ret, e);

	if (!m || mirror_list_all(m, e) < 0)
		return -1;
	return delete_listed(m, e);
}

/* ---- what there is ---------------------------------------------------------------------------------- */

struct finder {
	bool (*on_found)(void *ctx, const char *instance_id);
	void *ctx;
	size_t skip;
	bool in_seat, is_below;
};

static bool on_no_object(void *ctx, const struct storage_object *object)
{
	(void)ctx;
	(void)object;
	return true;
}

static bool on_own_dir(void *ctx, const char *prefix)
{
	struct finder *f = ctx;
	const char *name = prefix + f->skip;

	f->in_seat |= strcmp(name, ".openclaw/") == 0 || strcmp(name, "workspace/") == 0;
	f->is_below |= strcmp(name, INSTANCES) == 0;
	return true;
}

static bool on_instance_dir(void *ctx, const char *prefix)
{
	const struct finder *f = ctx;
	char id[UUID_SIZE];

	snprintf(id, sizeof(id), "%s", prefix + f->skip);
	if (strlen(prefix + f->skip) != UUID_SIZE || !uuid_is_valid(id))
		return true; /* none of ours */
	return f->on_found(f->ctx, id);
}

int mirror_find(struct engine *en, const char *user_id,
                bool (*on_found)(void *ctx, const char *instance_id), void *ctx, struct err *e)
{
	struct key_text prefix = key_of_user(user_id);
	struct finder f = { .on_found = on_found, .ctx = ctx, .skip = strlen(prefix.text) };
	struct storage_list_to to = { on_no_object, on_own_dir, &f };

	if (!uuid_is_valid(user_id))
		return err_field(e, "user_id", "is no UUID");
	if (storage_list(en->storage, prefix.text, &to, e) < 0)
		return -1;
	if (f.in_seat && !on_found(ctx, NULL))
		return 0;
	if (!f.is_below)
		return 0;
	memcpy(prefix.text + f.skip, INSTANCES, sizeof(INSTANCES));
	f.skip = strlen(prefix.text);
	to.on_dir = on_instance_dir;
	return storage_list(en->storage, prefix.text, &to, e);
}
