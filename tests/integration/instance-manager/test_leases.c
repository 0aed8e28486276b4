#include "lease_store.h"
#include "record.h"
#include "rows.h"

/* Leases on instances, and writes that were overtaken. Two owners stand for two processes. */
#define A_OWNER "aaaaaaaaaaaaaaaa"
#define B_OWNER "bbbbbbbbbbbbbbbb"

static bool is_claimed(const char *owner, const char *id)
{
	OWN(pg_conn) struct pg_conn *c = take();
	OWN(mem) struct instance *list = NULL;
	struct err e = ERR_INIT;
	size_t count = 0;
	bool is_mine = false;

	assert_ok(lease_claim(c, owner, LEASE_CLAIM_MAX, &list, &count, &e), &e);
	for (size_t i = 0; i < count; i++)
		is_mine |= strcmp(list[i].id, id) == 0;
	return is_mine;
}

/* Its lease lasts, though LEASE_S may pass on a machine that stands still. */
static void outlast(const char *id)
{
	run("UPDATE instances SET lease_until = lease_until + interval '1 hour' WHERE id = $1", id);
}

static struct instance loaded(const char *id)
{
	OWN(pg_conn) struct pg_conn *c = take();
	struct err e = ERR_INIT;
	struct instance i;

	assert_ok(store_load(c, user, id, &i, &e), &e);
	return i;
}

static enum lease_written written(const char *owner, struct instance *before, struct decision *d,
                                  int places_max)
{
	OWN(pg_conn) struct pg_conn *c = take();
	struct lease_write w = { .owner = owner,
		                 .before = before,
		                 .d = d,
		                 .places_max = places_max,
		                 .place_ms = 3600000,
		                 .trace_id = "0af7651916cd43dd8448eb211c80319c" };
	enum lease_written how;
	struct err e = ERR_INIT;
	struct instance after = *before;

	assert_ok(lease_write(c, &w, &after, &how, &e), &e);
	*before = after;
	return how;
}

static void a_lease_is_one_owners_until_it_runs_out(void **state)
{
	struct instance i = made(1);

	(void)state;
	assert_true(is_claimed(A_OWNER, i.id));
	outlast(i.id);
	assert_false(is_claimed(B_OWNER, i.id));
	run("UPDATE instances SET lease_until = now() - interval '1 ms' WHERE id = $1", i.id);
	assert_true(is_claimed(B_OWNER, i.id));
	outlast(i.id);
	assert_false(is_claimed(A_OWNER, i.id));
}

static void a_lease_of_a_process_without_connections_is_void(void **state)
{
	struct instance i = made(1);
	OWN(pg_conn) struct pg_conn *c = take();
	struct err e = ERR_INIT;

	(void)state;
	assert_true(is_claimed(A_OWNER, i.id));
	assert_ok(lease_void_dead(c, &e), &e);
	assert_true(is_claimed(B_OWNER, i.id));
}

static void a_lease_of_a_process_with_connections_holds(void **state)
{
	struct pg_pool *theirs = NULL;
	struct pg_conn *alive = NULL;
	struct instance i = made(1);
	struct err e = ERR_INIT;

	(void)state;
	assert_ok(pg_pool_open(getenv("DATABASE_URL"), LEASE_APP A_OWNER, 1, &theirs, &e), &e);
	assert_ok(pg_take(theirs, &alive, &e), &e);
	assert_true(is_claimed(A_OWNER, i.id));
	outlast(i.id);
	{
		OWN(pg_conn) struct pg_conn *c = take();

		assert_ok(lease_void_dead(c, &e), &e);
	}
	assert_false(is_claimed(B_OWNER, i.id));
	pg_give(alive);
	pg_pool_close(theirs);
}

static void what_was_seen_is_due_later_and_what_was_asked_for_meanwhile_is_due_now(void **state)
{
	struct instance quiet = made(1), asked = made(2);
	struct lease_seen seen[2] = { { .delay_ms = 3600000, .is_observed = true },
		                      { .delay_ms = 3600000, .is_observed = true } };
	struct err e = ERR_INIT;

	(void)state;
	assert_true(is_claimed(A_OWNER, quiet.id)); /* both */
	snprintf(seen[0].id, UUID_SIZE, "%s", quiet.id);
	snprintf(seen[1].id, UUID_SIZE, "%s", asked.id);
	{
		OWN(pg_conn) struct pg_conn *c = take();
		struct instance i = loaded(asked.id);
		bool is_changed;

		assert_ok(instance_want_stop(&i, &is_changed, &e), &e);
		assert_ok(store_change(c, &i, NULL, &i, &e), &e);
		assert_ok(lease_seen(c, A_OWNER, seen, 2, &e), &e);
	}
	assert_true(loaded(quiet.id).observed_ms > 0);
	assert_false(is_claimed(B_OWNER, quiet.id));
	/* The same claim has taken the other. */
	assert_int_equal(
		number("SELECT count(*) FROM instances WHERE id = $1 AND lease_owner = '" B_OWNER
	               "'",
	               asked.id),
		1);
}

static void a_write_that_was_overtaken_is_not_made(void **state)
{
	struct instance i = made(1), before;
	struct err e = ERR_INIT;
	struct decision d;
	bool is_changed;

	(void)state;
	assert_true(is_claimed(A_OWNER, i.id));
	before = loaded(i.id);
	{
		OWN(pg_conn) struct pg_conn *c = take();
		struct instance wish = before;

		assert_ok(instance_want_stop(&wish, &is_changed, &e), &e);
		assert_ok(store_change(c, &wish, NULL, &wish, &e), &e);
	}
	d = (struct decision){ .next = before, .delay_ms = 1 };
	d.next.status = INSTANCE_RUNNING;
	assert_int_equal(written(A_OWNER, &before, &d, 4), LEASE_CHANGED);
	assert_int_equal(before.status, INSTANCE_STOPPING);
	assert_int_equal(before.desired, INSTANCE_WANT_STOPPED);
	assert_int_equal(loaded(i.id).status, INSTANCE_STOPPING);
	assert_int_equal(number("SELECT count(*) FROM event_outbox WHERE key = $1", i.id), 0);
}

static void a_write_without_the_lease_is_not_made(void **state)
{
	struct instance i = made(1), before;
	struct decision d;

	(void)state;
	assert_true(is_claimed(A_OWNER, i.id));
	before = loaded(i.id);
	d = (struct decision){ .next = before, .delay_ms = 1 };
	d.next.status = INSTANCE_RUNNING;
	assert_int_equal(written(B_OWNER, &before, &d, 4), LEASE_LOST);
	assert_int_equal(loaded(i.id).status, INSTANCE_PROVISIONING);
}

static void a_change_is_told_in_the_same_breath(void **state)
{
	struct instance i = made(1), before;
	struct decision d;

	(void)state;
	assert_true(is_claimed(A_OWNER, i.id));
	before = loaded(i.id);
	d = (struct decision){ .next = before,
		               .drift = DRIFT_MISSING,
		               .drift_text = "it was gone",
		               .delay_ms = 3600000 };
	d.next.status = INSTANCE_RUNNING;
	d.next.is_channel_up = true;
	d.next.was_ready = true;
	d.next.operation = INSTANCE_OP_NONE;
	assert_int_equal(written(A_OWNER, &before, &d, 4), LEASE_WRITTEN);
	assert_int_equal(before.status, INSTANCE_RUNNING);
	/* Status, channel and drift, and each of them in the timeline. */
	assert_int_equal(number("SELECT count(*) FROM event_outbox WHERE key = $1"
	                        " AND subject NOT LIKE '%.activity'",
	                        i.id),
	                 3);
	assert_int_equal(number("SELECT count(*) FROM event_outbox WHERE key = $1"
	                        " AND subject LIKE '%.activity'",
	                        i.id),
	                 3);
	assert_int_equal(number("SELECT count(*) FROM audit_instance WHERE instance_id = $1"
	                        " AND action = 'container_missing' AND detail = 'it was gone'",
	                        i.id),
	                 1);
	/* With no action the lease is given back, and the instance not due yet. */
	assert_false(is_claimed(B_OWNER, i.id));
	assert_int_equal(
		number("SELECT count(*) FROM instances WHERE id = $1 AND lease_owner IS NULL",
	               i.id),
		1);
}

static void no_more_boot_than_there_are_places(void **state)
{
	struct instance i[3];
	struct decision d;

	(void)state;
	for (int n = 0; n < 3; n++)
		i[n] = made(n);
	assert_true(is_claimed(A_OWNER, i[0].id));
	for (int n = 0; n < 3; n++) {
		i[n] = loaded(i[n].id);
		d = (struct decision){ .next = i[n], .action = ACT_START, .place = PLACE_TAKE };
		/* Others of this database may boot, too. */
		assert_int_equal(
			written(A_OWNER, &i[n], &d,
		                2 + (int)number("SELECT count(*) FROM instances WHERE boot_until >"
		                                " now() AND user_id <> $1",
		                                user)),
			LEASE_WRITTEN);
		assert_int_equal(d.action, n < 2 ? ACT_START : ACT_NONE);
		assert_int_equal(i[n].is_booting, n < 2);
		assert_int_equal(i[n].is_waiting, n == 2);
	}
	/* It is looked at later, and at once when one that is ready makes room. */
	assert_int_equal(number("SELECT count(*) FROM instances WHERE id = $1 AND lease_owner IS"
	                        " NULL AND next_check_at > boot_waiting_since",
	                        i[2].id),
	                 1);
	run("UPDATE instances SET next_check_at = now() + interval '1 hour' WHERE id = $1",
	    i[2].id);
	assert_false(is_claimed(B_OWNER, i[2].id));
	d = (struct decision){ .next = i[0], .place = PLACE_DROP, .delay_ms = 3600000 };
	assert_int_equal(written(A_OWNER, &i[0], &d, 2), LEASE_WRITTEN);
	assert_true(is_claimed(B_OWNER, i[2].id));
}

static void only_what_is_to_be_deleted_is_erased(void **state)
{
	struct instance i = made(1);
	struct err e = ERR_INIT;
	bool is_gone = true, is_changed;

	(void)state;
	assert_true(is_claimed(A_OWNER, i.id));
	{
		OWN(pg_conn) struct pg_conn *c = take();

		assert_ok(lease_erase(c, A_OWNER, &i, &is_gone, &e), &e);
		assert_false(is_gone);
		assert_ok(instance_want_delete(&i, &is_changed, &e), &e);
		assert_ok(store_change(c, &i, NULL, &i, &e), &e);
		assert_ok(record_begin(c, &i, &e), &e);
		assert_ok(lease_erase(c, B_OWNER, &i, &is_gone, &e), &e);
		assert_false(is_gone);
		assert_ok(lease_erase(c, A_OWNER, &i, &is_gone, &e), &e);
	}
	assert_true(is_gone);
	assert_int_equal(number("SELECT count(*) FROM instances WHERE id = $1", i.id), 0);
	assert_int_equal(number("SELECT count(*) FROM operations WHERE instance_id = $1", i.id), 0);
	assert_int_equal(number("SELECT count(*) FROM event_outbox WHERE key = $1"
	                        " AND subject = 'zaki.evt.instance.*.deleted'",
	                        i.id),
	                 1);
	run("DELETE FROM event_outbox WHERE key = $1", i.id);
}

static void what_the_engine_told_is_written_and_makes_due(void **state)
{
	struct instance i = made(1);
	/* It ended twice, as the engine tells them in order: the last end counts, not the highest. */
	struct lease_poke pokes[4] = { { .exit_code = -1, .is_oom = true },
		                       { .exit_code = 137 },
		                       { .exit_code = 3 },
		                       { .exit_code = -1 } };
	struct lease_poke no_end = { .exit_code = -1 };
	struct err e = ERR_INIT;

	(void)state;
	run("UPDATE instances SET next_check_at = now() + interval '1 hour' WHERE id = $1", i.id);
	for (size_t n = 0; n < COUNT(pokes); n++)
		snprintf(pokes[n].id, UUID_SIZE, "%s", i.id);
	{
		OWN(pg_conn) struct pg_conn *c = take();

		assert_ok(lease_poke(c, pokes, COUNT(pokes), &e), &e);
	}
	assert_int_equal(loaded(i.id).exit_code, 3);
	assert_true(loaded(i.id).exit_oom);
	{
		OWN(pg_conn) struct pg_conn *c = take();

		snprintf(no_end.id, UUID_SIZE, "%s", i.id);
		assert_ok(lease_poke(c, &no_end, 1, &e), &e);
	}
	assert_int_equal(loaded(i.id).exit_code, 3);
	assert_true(is_claimed(A_OWNER, i.id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS_TEST(a_lease_is_one_owners_until_it_runs_out),
		ROWS_TEST(a_lease_of_a_process_without_connections_is_void),
		ROWS_TEST(a_lease_of_a_process_with_connections_holds),
		ROWS_TEST(what_was_seen_is_due_later_and_what_was_asked_for_meanwhile_is_due_now),
		ROWS_TEST(a_write_that_was_overtaken_is_not_made),
		ROWS_TEST(a_write_without_the_lease_is_not_made),
		ROWS_TEST(a_change_is_told_in_the_same_breath),
		ROWS_TEST(no_more_boot_than_there_are_places),
		ROWS_TEST(only_what_is_to_be_deleted_is_erased),
		ROWS_TEST(what_the_engine_told_is_written_and_makes_due),
	};

	be_patient(PATIENCE);
	return cmocka_run_group_tests(tests, setup_pool, teardown_pool);
}
