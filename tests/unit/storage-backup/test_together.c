/* Backups, restores, proofs and prunes of one person at the same time: none loses anything of another's. */

#include "vault.h"

#include <pthread.h>
#include <stdatomic.h>

#define ROUNDS 12
#define FILES  40

static const struct vault *place;
static atomic_bool is_over;

/* lock guards the two below it. What is listed here may be restored and verified, until it is taken off. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char made[ROUNDS + 1][UUID_SIZE];
static size_t made_count;

static atomic_int failures;
static char first_failure[256];

static void failed(const char *what, const struct err *e)
{
	pthread_mutex_lock(&lock);
	if (!failures++)
		snprintf(first_failure, sizeof(first_failure), "%s: %.200s", what, e->msg);
	pthread_mutex_unlock(&lock);
}

/* The newest is never deleted, so there is always one. False: there is none yet. */
static bool newest(char ret[UUID_SIZE])
{
	bool is_there;

	pthread_mutex_lock(&lock);
	is_there = made_count > 0;
	if (is_there)
		memcpy(ret, made[made_count - 1], UUID_SIZE);
	pthread_mutex_unlock(&lock);
	return is_there;
}

/* It may have been deleted while it was read: then it is no more than not there. */
static bool is_kept(const char *id)
{
	bool found = false;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < made_count; i++)
		found |= strcmp(made[i], id) == 0;
	pthread_mutex_unlock(&lock);
	return found;
}

static void *restore_all_the_time(void *unused)
{
	char data[128];

	(void)unused;
	snprintf(data, sizeof(data), "%s/data", place->root);
	for (int i = 0; !is_over; i++) {
		char id[UUID_SIZE], to[UUID_SIZE], restore_id[UUID_SIZE];
		struct engine_restore_req req = { .ref = { USER, NULL, id },
			                          .data_dir = data,
			                          .instance_id = to,
			                          .restore_id = restore_id };
		struct engine_ref ref = { USER, INSTANCE, id };
		struct engine_proof proof;
		struct engine_totals t;
		struct err e = ERR_INIT;
		bool is_done;

		(void)newest(id);
		uuid_make(to);
		uuid_make(restore_id);
		if ((i % 2 ? engine_verify(place->engine, &ref, NULL, &proof, &e) < 0
		           : engine_restore_fetch(place->engine, &req, &t, &e) < 0 ||
		                     engine_restore_swap(place->engine, &req, &is_done, &e) < 0 ||
		                     t.files != FILES) &&
		    is_kept(id))
			failed(i % 2 ? "verify" : "restore", &e);
	}
	return NULL;
}

/* All but the newest two go. */
static void *prune_all_the_time(void *unused)
{
	(void)unused;
	while (!is_over) {
		char id[UUID_SIZE] = "";
		struct engine_pruned p;
		struct err e = ERR_INIT;

		pthread_mutex_lock(&lock);
		if (made_count > 2) {
			memcpy(id, made[0], sizeof(id));
			memmove(made[0], made[1], --made_count * sizeof(made[0]));
		}
		pthread_mutex_unlock(&lock);
		if ((id[0] && engine_delete(place->engine, USER, id, &e) < 0) ||
		    engine_prune(place->engine, USER, ENGINE_GRACE_S, NULL, &p, &e) < 0)
			failed("prune", &e);
	}
	return NULL;
}

static void back_up(int round)
{
	const char *id = new_id();
	char base[UUID_SIZE];

	for (int i = 0; i < FILES; i++)
		if (round == 0 || i % 8 == round % 8)
			put_noise(in(place, text_of("workspace/%d", i)),
			          (uint64_t)(i * 100 + round % 3), 60000);
	snapshot(place, id, newest(base) ? base : NULL, round % 4 == 0);
	pthread_mutex_lock(&lock);
	memcpy(made[made_count++], id, UUID_SIZE);
	pthread_mutex_unlock(&lock);
}

static bool on_listed(void *ctx, const struct engine_backup *b)
{
	++*(int *)ctx;
	verify(place, b->backup_id);
	return true;
}

static void all_at_once_lose_nothing(void **state)
{
	pthread_t threads[2];
	struct engine_pruned p = { 0 };
	struct err e = ERR_INIT;
	int listed = 0;

	place = *state;
	back_up(0);
	assert_int_equal(pthread_create(&threads[0], NULL, restore_all_the_time, NULL), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, prune_all_the_time, NULL), 0);
	for (int round = 1; round <= ROUNDS; round++)
		back_up(round);
	is_over = true;
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	if (failures)
		fail_msg("%d: %s", failures, first_failure);

	/* Every grace is over now: what is condemned goes, what is listed stays whole. */
	vault_shift_ms = (ENGINE_GRACE_S + 3600) * 1000LL;
	assert_ok(engine_prune(place->engine, USER, ENGINE_GRACE_S, NULL, &p, &e), &e);
	assert_ok(engine_backups(place->engine, USER, on_listed, &listed, &e), &e);
	assert_int_equal(listed, made_count);
	print_message("  %d backups left, %lld packs live, %lld deleted\n", listed, p.packs_live,
	              p.packs_deleted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_at_once_lose_nothing, vault_setup,
		                                vault_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
