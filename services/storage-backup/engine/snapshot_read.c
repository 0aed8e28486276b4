#include "engine/snapshot.h"

#include "format/mem.h"

#include "base/clock.h"
#include "engine/database.h"

#include <errno.h>
#include <fcntl.h>

#define READINGS_MAX 3
#define AGAIN_MS     20
#define RACY_S       3 /* a file system's clock may be so coarse that a change does not show */

static struct slot *slot_next(struct snapshot *s, enum slot_what what, struct err *e)
{
	struct slot *at;

	if (pulse_tell(&s->pulse, false, e) < 0)
		return NULL;
	at = ring_next(s->ring, e);
	if (at) {
		at->what = what;
		at->record = (struct record){ 0 };
	}
	return at;
}

static int slot_plain(struct snapshot *s, enum slot_what what, struct err *e)
{
	if (!slot_next(s, what, e))
		return -1;
	ring_put(s->ring, false);
	return 0;
}

static void slot_path(struct slot *at, const char *path, size_t len)
{
	memcpy(at->path, path, len);
	at->path[len] = 0;
	at->record.path = at->path;
	at->record.path_len = len;
}

static void record_stat(struct record *r, const struct stat *st)
{
	r->mode = st->st_mode & 07777;
	r->uid = st->st_uid;
	r->gid = st->st_gid;
	r->mtime_s = st->st_mtim.tv_sec;
	r->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	r->inode = st->st_ino;
	r->ctime_s = st->st_ctim.tv_sec;
	r->ctime_ns = (uint32_t)st->st_ctim.tv_nsec;
}

static int note(struct snapshot *s, enum engine_note_kind kind, const char *path, struct err *e)
{
	struct slot *at = slot_next(s, SLOT_RECORD, e);

	if (!at)
		return -1;
	slot_path(at, path, strlen(path));
	at->record.type = RECORD_NOTE;
	at->record.note = kind;
	ring_put(s->ring, false);
	if (s->req->watch.on_note)
		s->req->watch.on_note(s->req->watch.ctx, kind, path);
	return 0;
}

int snapshot_on_vanished(void *ctx, const char *path, struct err *e)
{
	return note(ctx, ENGINE_NOTE_VANISHED, path, e);
}

/* ---- one reading of a file ------------------------------------------------------------------ */

static int put_hole(struct snapshot *s, off_t len, struct err *e)
{
	struct slot *at = slot_next(s, SLOT_HOLE, e);

	if (!at)
		return -1;
	at->record.size = (uint64_t)len;
	ring_put(s->ring, false);
	return 0;
}

static int put_chunk(struct snapshot *s, const unsigned char *data, size_t len, struct err *e)
{
	struct slot *at = slot_next(s, SLOT_DATA, e);

	if (!at)
		return -1;
	memcpy(at->data, data, len);
	at->len = len;
	ring_put(s->ring, true);
	return 0;
}

/* Cuts what lies between from and to. *ret_to: where it ended, which is earlier in a file that shrank. */
static int read_region(struct snapshot *s, int fd, off_t from, off_t to, off_t *ret_to,
                       struct err *e)
{
	size_t start = 0, end = 0, cut;
	off_t at = from;

	for (;;) {
		while (end - start < CHUNK_MAX && at < to) {
			size_t want;
			ssize_t n;

			memmove(s->window, s->window + start, end - start);
			end -= start;
			start = 0;
			want = SNAPSHOT_WINDOW - end;
			if ((off_t)want > to - at)
				want = (size_t)(to - at);
			n = pread(fd, s->window + end, want, at);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return file_error(e, s->file_path);
			if (n == 0)
				to = at;
			at += n;
			end += (size_t)n;
		}
		if (start == end)
			break;
		cut = chunker_cut(s->keys, s->window + start, end - start);
		if (put_chunk(s, s->window + start, cut, e) < 0)
			return -1;
		fault_point("snapshot.chunk");
		start += cut;
	}
	*ret_to = at;
	return 0;
}

/* The next byte that is data, at or behind pos; size when there is none. */
static off_t data_from(int fd, off_t pos, off_t size)
{
	off_t at = lseek(fd, pos, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? size : pos;
	return at < size ? at : size;
}

/* Where the next hole begins that is worth a record. */
static off_t hole_from(int fd, off_t pos, off_t size)
{
	for (;;) {
		off_t hole = lseek(fd, pos, SEEK_HOLE);
		off_t data;

		if (hole < 0 || hole >= size)
			return size;
		data = data_from(fd, hole, size);
		if (data - hole >= CHUNK_MIN)
			return hole;
		if (data == size)
			return size;
		pos = data;
	}
}

static int read_once(struct snapshot *s, int fd, const struct stat *st, off_t *ret_size,
                     struct err *e)
{
	bool is_sparse = st->st_blocks * 512 < st->st_size;
	off_t size = st->st_size, pos = 0;

	while (pos < size) {
		off_t data = is_sparse ? data_from(fd, pos, size) : pos, end, got = 0;

		if (data - pos >= CHUNK_MIN) {
			if (put_hole(s, data - pos, e) < 0)
				return -1;
			pos = data;
			continue;
		}
		end = is_sparse ? hole_from(fd, pos, size) : size;
		if (read_region(s, fd, pos, end, &got, e) < 0)
			return -1;
		pos = got;
		if (got < end)
			break;
	}
	*ret_size = pos;
	return 0;
}

/* ---- a file --------------------------------------------------------------------------------- */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* st: as it is now. is_void: an earlier reading or base left extents that do not count. */
static int end_file(struct snapshot *s, const struct stat *st, off_t size, uint32_t flags,
                    struct err *e)
{
	struct slot *at = slot_next(s, SLOT_FILE_END, e);

	if (!at)
		return -1;
	at->record.type = RECORD_FILE;
	record_stat(&at->record, st);
	at->record.size = (uint64_t)size;
	at->record.flags = flags;
	ring_put(s->ring, false);
	return 0;
}

static int read_plain(struct snapshot *s, const struct walk_item *item, int fd, struct err *e)
{
	uint32_t flags = RECORD_WAS_CHANGING;
	struct stat before, after;
	off_t size = 0;

	for (int i = 0; i < READINGS_MAX && flags; i++) {
		if (i > 0) {
			clock_sleep_ms(AGAIN_MS);
			if (slot_plain(s, SLOT_AGAIN, e) < 0)
				return -1;
		}
		if (fstat(fd, &before) < 0)
			return file_error(e, item->path);
		if (read_once(s, fd, &before, &size, e) < 0)
			return -1;
		fault_point("snapshot.read");
		if (fstat(fd, &after) < 0)
			return file_error(e, item->path);
		if (is_same(&before, &after) && size == before.st_size)
			flags = 0;
	}
	if (flags && note(s, ENGINE_NOTE_CHANGED, item->path, e) < 0)
		return -1;
	return end_file(s, &before, size, flags, e);
}

static bool keep_going(void *ctx)
{
	struct snapshot *s = ctx;
	struct err ignored = ERR_INIT;

	return pulse_tell(&s->pulse, false, &ignored) == 0;
}

/* Its journals come after it in the walk; once they are passed it is forgotten. */
static void plain_forget(struct snapshot *s, const struct walk_item *item)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->plain_count; i++) {
		char last[ENGINE_PATH_MAX + sizeof("-wal")];
		int len = snprintf(last, sizeof(last), "%s-wal", s->plain[i]);

		if (record_path_order(last, (size_t)len, item->path, item->path_len) < 0)
			free(s->plain[i]);
		else
			s->plain[kept++] = s->plain[i];
	}
	s->plain_count = kept;
}

static int plain_add(struct snapshot *s, const struct walk_item *item, struct err *e)
{
	plain_forget(s, item);
	if (s->plain_count == SNAPSHOT_PLAIN_MAX)
		return err_set(e, ERR_TOO_LARGE, "too many databases beside %.100s", item->path);
	s->plain[s->plain_count] = strdup(item->path);
	if (!s->plain[s->plain_count])
		return err_set(e, ERR_INTERNAL, "out of memory");
	s->plain_count++;
	return note(s, ENGINE_NOTE_PLAIN_DB, item->path, e);
}

/* *ret_is_done false: SQLite would not, it is to be read as it lies there. */
static int read_database(struct snapshot *s, const struct walk_item *item, const struct stat *st,
                         bool *ret_is_done, struct err *e)
{
	struct database_copy_req req = { s->en, item->parent, item->name, keep_going, s };
	struct err why = ERR_INIT;
	OWN(fd) int copy = database_copy(&req, &why);
	struct stat copied;
	off_t size = 0;

	*ret_is_done = false;
	if (copy < 0 && why.code != ERR_UPSTREAM) {
		*e = why;
		return -1;
	}
	if (copy < 0)
		return plain_add(s, item, e);
	fault_point("snapshot.database");
	if (fstat(copy, &copied) < 0)
		return file_error(e, item->path);
	*ret_is_done = true;
	if (read_once(s, copy, &copied, &size, e) < 0)
		return -1;
	return end_file(s, st, size, RECORD_IS_DATABASE, e);
}

static bool is_database_at(int fd)
{
	unsigned char head[DATABASE_MAGIC_LEN];

	return pread(fd, head, sizeof(head), 0) == sizeof(head) && database_is(head);
}

/* A journal of a database that SQLite copies: what is in it is in the copy. */
static bool is_copied_journal(const struct snapshot *s, const struct walk_item *item)
{
	size_t len = database_journal_of(item->name);
	size_t path_len = item->path_len - strlen(item->name) + len;
	OWN(mem) char *name = len ? mem_text("%.*s", (int)len, item->name) : NULL;
	OWN(fd)
	int fd = name ? openat(item->parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
	              : -1;

	if (fd < 0 || !is_database_at(fd))
		return false;
	for (size_t i = 0; i < s->plain_count; i++)
		if (strlen(s->plain[i]) == path_len &&
		    memcmp(s->plain[i], item->path, path_len) == 0)
			return false;
	return true;
}

/* ---- a file that did not change ------------------------------------------------------------- */

static bool is_past(int64_t at_s, uint64_t limit_ms)
{
	return at_s < (int64_t)(limit_ms / 1000) - RACY_S;
}

/* What was committed to a database may still lie in its log alone. */
static bool has_log(const struct walk_item *item)
{
	OWN(mem) char *name = mem_text("%s-wal", item->name);
	struct stat st;

	if (!name)
		return true;
	return fstatat(item->parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
}

static bool is_unchanged(const struct snapshot *s, const struct record *r,
                         const struct walk_item *item, const struct stat *st)
{
	if (r->flags & RECORD_WAS_CHANGING || r->inode != st->st_ino ||
	    r->mtime_s != st->st_mtim.tv_sec || r->mtime_ns != (uint32_t)st->st_mtim.tv_nsec ||
	    r->ctime_s != st->st_ctim.tv_sec || r->ctime_ns != (uint32_t)st->st_ctim.tv_nsec ||
	    !is_past(r->mtime_s, s->bases.first_created_ms) ||
	    !is_past(r->ctime_s, s->bases.first_created_ms))
		return false;
	if (r->flags & RECORD_IS_DATABASE)
		return !has_log(item); /* the copy's size is its own */
	return r->size == (uint64_t)st->st_size;
}

/* The base's extents for a file that did not change. *ret_is_done false: it must be read. */
static int take_over(struct snapshot *s, const struct walk_item *item, const struct stat *st,
                     bool *ret_is_done, struct err *e)
{
	const struct record *found = NULL;
	struct record file, x;
	bool is_good = true;

	*ret_is_done = false;
	if (s->req->is_full)
		return 0;
	if (bases_find(&s->bases, item->path, item->path_len, &found, e) < 0)
		return -1;
	if (!found || !is_unchanged(s, found, item, st))
		return 0;
	file = *found;
	for (uint64_t i = 0; i < file.extents && is_good; i++) {
		struct slot *at;

		if (bases_extent(&s->bases, &x, e) < 0)
			return -1;
		is_good = x.type == RECORD_HOLE || bases_may_use(&s->bases, x.place.pack);
		at = is_good ? slot_next(s, x.type == RECORD_HOLE ? SLOT_HOLE : SLOT_KNOWN, e)
		             : NULL;
		if (is_good && !at)
			return -1;
		if (!is_good)
			break;
		at->record.size = x.size;
		at->record.place = x.place;
		if (x.type == RECORD_CHUNK)
			memcpy(at->id, x.id, CHUNK_ID_LEN);
		ring_put(s->ring, false);
	}
	if (!is_good)
		return slot_plain(s, SLOT_AGAIN, e);
	*ret_is_done = true;
	return end_file(s, st, (off_t)file.size, file.flags, e);
}

/* ---- what the walk comes to ----------------------------------------------------------------- */

static int read_file(struct snapshot *s, const struct walk_item *item, struct err *e)
{
	OWN(fd)
	int fd = openat(item->parent, item->name,
	                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	bool is_done = false;

	/* Another kind of thing bears its name by now: a link, or a socket. */
	if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO))
		return snapshot_on_vanished(s, item->path, e);
	if (fd < 0 || fstat(fd, &st) < 0)
		return file_error(e, item->path);
	if (!S_ISREG(st.st_mode))
		return snapshot_on_vanished(s, item->path, e);
	if (is_database_at(fd) && read_database(s, item, &st, &is_done, e) < 0)
		return -1;
	return is_done ? 0 : read_plain(s, item, fd, e);
}

/* A file that vanishes now has begun and does not end: nothing of it is written. */
static int on_file(struct snapshot *s, const struct walk_item *item, struct err *e)
{
	struct slot *at;
	bool is_done = false;

	if (is_copied_journal(s, item))
		return 0;
	at = slot_next(s, SLOT_FILE, e);
	if (!at)
		return -1;
	slot_path(at, item->path, item->path_len);
	ring_put(s->ring, false);
	fault_point("snapshot.open");
	if (take_over(s, item, &item->st, &is_done, e) < 0)
		return -1;
	return is_done ? 0 : read_file(s, item, e);
}

static int on_dir_or_link(struct snapshot *s, const struct walk_item *item, struct err *e)
{
	struct slot *at = slot_next(s, SLOT_RECORD, e);
	ssize_t len;

	if (!at)
		return -1;
	fault_point("snapshot.entry");
	slot_path(at, item->path, item->path_len);
	record_stat(&at->record, &item->st);
	at->record.type = S_ISDIR(item->st.st_mode) ? RECORD_DIR : RECORD_LINK;
	if (at->record.type == RECORD_LINK) {
		len = readlinkat(item->parent, item->name, at->target, ENGINE_PATH_MAX);
		if (len <= 0) /* the slot was not put: it is the next one again */
			return snapshot_on_vanished(s, item->path, e);
		at->record.target = at->target;
		at->record.target_len = (size_t)len;
	}
	ring_put(s->ring, false);
	return 0;
}

int snapshot_on_item(void *ctx, const struct walk_item *item, struct err *e)
{
	struct snapshot *s = ctx;

	if (s->under && !record_path_is_under(item->path, item->path_len, s->under))
		return 0;
	if (S_ISREG(item->st.st_mode))
		return on_file(s, item, e);
	if (S_ISDIR(item->st.st_mode) || S_ISLNK(item->st.st_mode))
		return on_dir_or_link(s, item, e);
	return note(s, ENGINE_NOTE_SPECIAL, item->path, e);
}
