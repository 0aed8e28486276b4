#include "engine/catalog.h"

#include "format/mem.h"

#include "base/uuid.h"

#include <stddef.h>

#define USERS  "users/"
#define ENDING ".manifest"
#define ID_LEN (UUID_SIZE - 1)

/* ---- who ------------------------------------------------------------------------------------ */

struct users {
	bool (*on_user)(void *ctx, const char *user_id);
	void *ctx;
};

static bool on_user_dir(void *ctx, const char *prefix)
{
	const struct users *to = ctx;
	const char *id = prefix + sizeof(USERS) - 1;
	char user_id[UUID_SIZE];

	snprintf(user_id, sizeof(user_id), "%s", id);
	if (strlen(id) != ID_LEN + 1 || !uuid_is_valid(user_id))
		return true; /* none of ours */
	return to->on_user(to->ctx, user_id);
}

static bool on_no_user(void *ctx, const struct storage_object *object)
{
	(void)ctx;
	(void)object;
	return true;
}

int engine_users(struct engine *en, bool (*on_user)(void *ctx, const char *user_id), void *ctx,
                 struct err *e)
{
	struct users users = { on_user, ctx };
	struct storage_list_to to = { on_no_user, on_user_dir, &users };

	return storage_list(en->storage, USERS, &to, e);
}

/* ---- which ---------------------------------------------------------------------------------- */

struct ids {
	struct backup_ids *list;
	size_t size, prefix_len;
	bool is_out_of_memory;
};

static bool on_manifest(void *ctx, const struct storage_object *object)
{
	struct ids *to = ctx;
	const char *name = object->key + to->prefix_len;
	char id[UUID_SIZE];

	snprintf(id, sizeof(id), "%s", name);
	if (strlen(name) != ID_LEN + sizeof(ENDING) - 1 || strcmp(name + ID_LEN, ENDING) != 0 ||
	    !uuid_is_valid(id))
		return true; /* none of ours */
	if (to->list->count == to->size) {
		size_t size = to->size ? 2 * to->size : 64;
		char(*more)[UUID_SIZE] = realloc(to->list->ids, size * sizeof(*more));

		to->is_out_of_memory = !more;
		if (!more)
			return false;
		to->list->ids = more;
		to->size = size;
	}
	memcpy(to->list->ids[to->list->count++], id, sizeof(id));
	return true;
}

int catalog_backups(const struct engine *en, const char *user_id, struct backup_ids *ret,
                    struct err *e)
{
	struct key_text prefix = key_of_manifests(user_id);
	struct ids ids = { .list = ret, .prefix_len = strlen(prefix.text) };
	struct storage_list_to to = { .on_object = on_manifest, .ctx = &ids };

	if (storage_list(en->storage, prefix.text, &to, e) < 0)
		return -1;
	return ids.is_out_of_memory ? err_set(e, ERR_INTERNAL, "out of memory") : 0;
}

void backup_ids_done(struct backup_ids *ids)
{
	free(TAKE(ids->ids));
}

static int user_check(const char *user_id, struct err *e)
{
	return uuid_is_valid(user_id) ? 0 : err_field(e, "user_id", "is no UUID");
}

int engine_backups(struct engine *en, const char *user_id,
                   bool (*on_backup)(void *ctx, const struct engine_backup *b), void *ctx,
                   struct err *e)
{
	OWN(backup_ids) struct backup_ids ids = { 0 };

	if (user_check(user_id, e) < 0 || catalog_backups(en, user_id, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.count; i++) {
		struct engine_ref ref = { user_id, NULL, ids.ids[i] };
		struct engine_backup b = { 0 };
		struct manifest_head head;
		struct err why = ERR_INIT;

		memcpy(b.backup_id, ids.ids[i], sizeof(b.backup_id));
		if (stored_manifest_head(en, &ref, &head, &why) == 0) {
			memcpy(b.instance_id, head.instance_id, sizeof(b.instance_id));
			b.is_full = head.is_full;
			b.created_ms = (long long)head.created_ms;
			totals_of_head(&head, &b.totals);
		} else if (why.code == ERR_NOT_FOUND) {
			continue; /* deleted meanwhile */
		} else if (why.code != ERR_UPSTREAM && why.code != ERR_FORBIDDEN) {
			*e = why;
			return -1;
		}
		if (!on_backup(ctx, &b))
			return 0;
	}
	return 0;
}

static bool needs(const struct manifest_reader *m, const char *object)
{
	const char *slash = strrchr(object, '/');
	unsigned char id[PACK_ID_LEN];

	if (!slash || !pack_id_parse(slash + 1, id))
		return false;
	for (uint32_t i = 0; i < manifest_head(m)->packs; i++)
		if (memcmp(manifest_packs(m)[i].id, id, PACK_ID_LEN) == 0)
			return true;
	return false;
}

static int needs_any(const struct engine *en, const struct engine_ref *ref,
                     const char *const *objects, size_t count, bool *ret, struct err *e)
{
	OWN(stored_manifest) struct stored_manifest m = { 0 };
	struct err why = ERR_INIT;

	*ret = false;
	if (stored_manifest_open(en, ref, &m, &why) < 0) {
		if (why.code == ERR_NOT_FOUND || why.code == ERR_UPSTREAM ||
		    why.code == ERR_FORBIDDEN)
			return 0;
		*e = why;
		return -1;
	}
	for (size_t i = 0; i < count && !*ret; i++)
		*ret = needs(m.reader, objects[i]);
	return 0;
}

int engine_dependents(struct engine *en, const char *user_id, const char *const *objects,
                      size_t count, bool (*on_backup)(void *ctx, const char *backup_id), void *ctx,
                      struct err *e)
{
	OWN(backup_ids) struct backup_ids ids = { 0 };

	if (user_check(user_id, e) < 0 || catalog_backups(en, user_id, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.count; i++) {
		struct engine_ref ref = { user_id, NULL, ids.ids[i] };
		bool is_one;

		if (needs_any(en, &ref, objects, count, &is_one, e) < 0)
			return -1;
		if (is_one && !on_backup(ctx, ids.ids[i]))
			return 0;
	}
	return 0;
}

int engine_delete(struct engine *en, const char *user_id, const char *backup_id, struct err *e)
{
	struct engine_ref ref = { user_id, NULL, backup_id };

	if (ref_check(&ref, e) < 0)
		return -1;
	fault_point("delete");
	return storage_delete(en->storage, key_of_manifest(user_id, backup_id).text, e);
}

/* ---- how much, and all of it away ------------------------------------------------------------ */

struct usage {
	struct engine_usage *ret;
	struct key_text manifests;
};

static bool on_object(void *ctx, const struct storage_object *object)
{
	struct usage *to = ctx;

	to->ret->objects++;
	to->ret->bytes += object->size;
	to->ret->backups +=
		strncmp(object->key, to->manifests.text, strlen(to->manifests.text)) == 0;
	return true;
}

int engine_usage(struct engine *en, const char *user_id, struct engine_usage *ret, struct err *e)
{
	struct engine_usage sum = { 0 };
	struct usage usage = { &sum, key_of_manifests(user_id) };
	struct storage_list_to to = { .on_object = on_object, .ctx = &usage };

	if (user_check(user_id, e) < 0 ||
	    storage_list(en->storage, key_of_user(user_id).text, &to, e) < 0)
		return -1;
	*ret = sum;
	return 0;
}

#define ERASE_AT_ONCE 256

struct erase {
	size_t count;
	struct key_text keys[ERASE_AT_ONCE];
};

static bool on_erased(void *ctx, const struct storage_object *object)
{
	struct erase *to = ctx;

	snprintf(to->keys[to->count].text, sizeof(to->keys[0].text), "%s", object->key);
	return ++to->count < ERASE_AT_ONCE;
}

/* A mirror's plain files and manifests come before chunks in the listing's order: what is half erased
 * is no backup any more. */
int engine_erase_user(struct engine *en, const char *user_id, struct err *e)
{
	OWN(mem) struct erase *some = mem_new(sizeof(*some));
	struct storage_list_to to = { .on_object = on_erased, .ctx = some };

	if (!some)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (user_check(user_id, e) < 0)
		return -1;
	do {
		some->count = 0;
		if (storage_list(en->storage, key_of_user(user_id).text, &to, e) < 0)
			return -1;
		for (size_t i = 0; i < some->count; i++) {
			fault_point("erase");
			if (storage_delete(en->storage, some->keys[i].text, e) < 0)
				return -1;
		}
	} while (some->count > 0);
	return 0;
}
