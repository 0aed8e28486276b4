/* zakictl backups: what there is of whom, and work on it, through storage-backup. */

#include "command.h"
#include "link.h"

#include "base/clock.h"
#include "base/own.h"
#include "store/cursor.h"

#define LOOK_MS 100
#define WAIT_MS (6LL * 3600 * 1000) /* for work to end */

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

static int list(struct link *l, int argc, char **argv, struct err *e)
{
	struct backup_admin_list_req in = { .instance_id = argc > 0 ? argv[0] : NULL,
		                            .limit = 100,
		                            .has_limit = true };
	const struct bus_ctx ctx = { 0 };
	char cursor[CURSOR_SIZE] = "";

	printf("%-36s  %-36s  %-11s  %-8s  %12s  %12s  %-24s  %-24s\n", "BACKUP", "ASSISTANT",
	       "KIND", "STATUS", "BYTES", "STORED", "MADE", "PROVEN");
	for (;;) {
		struct backup_list out = { 0 };
		OWN(arena) struct arena a;

		arena_init(&a, BUS_ARENA_LIMIT);
		if (bus_call(l->bus, SUBJ_BACKUP_ADMIN_LIST, &ctx, &in, &a, &out, e) < 0)
			return -1;
		for (size_t i = 0; i < out.items_count; i++) {
			const struct backup_view *b = &out.items[i];

			printf("%-36s  %-36s  %-11s  %-8s  %12lld  %12lld  %-24s  %-24s\n", b->id,
			       b->instance_id, b->kind, b->status, b->bytes, b->bytes_stored,
			       b->created_at, or_dash(b->proven_at));
			if (b->error)
				printf("  %s\n", b->error);
		}
		if (!out.next_cursor)
			return 0;
		snprintf(cursor, sizeof(cursor), "%s", out.next_cursor);
		in.cursor = cursor;
	}
}

static void tell_trial(const struct backup_job *j)
{
	if (j->has_trial_ms)
		printf("the assistant started from it in %lld.%lld s\n", j->trial_ms / 1000,
		       j->trial_ms / 100 % 10);
	else
		printf("the assistant was not started from it: it is deleted, or "
		       "BACKUP_DRILL_START is 0\n");
}

/* Until the work ends. */
static int wait_for(struct link *l, const char *job_id, struct err *e)
{
	const struct backup_job_ref in = { .job_id = job_id };
	const struct bus_ctx ctx = { 0 };
	long long until_ms = clock_mono_ms() + WAIT_MS;
	char told[64] = "";

	while (clock_mono_ms() < until_ms) {
		struct backup_job out = { 0 };
		OWN(arena) struct arena a;
		char now[64];

		arena_init(&a, BUS_ARENA_LIMIT);
		if (bus_call(l->bus, SUBJ_BACKUP_ADMIN_JOB, &ctx, &in, &a, &out, e) < 0)
			return -1;
		snprintf(now, sizeof(now), "%s %s %lld %%", out.status, or_dash(out.step),
		         out.percent);
		if (strcmp(now, told) != 0)
			printf("%s\n", now);
		snprintf(told, sizeof(told), "%s", now);
		(void)fflush(stdout);
		if (strcmp(out.status, "done") == 0) {
			if (strcmp(out.work, "drill") == 0)
				tell_trial(&out);
			return 0;
		}
		if (strcmp(out.status, "failed") == 0)
			return err_set(e, ERR_CONFLICT, "it failed: %s", or_dash(out.error));
		clock_sleep_ms(LOOK_MS);
	}
	return err_set(e, ERR_TIMEOUT, "it goes on; job %s", job_id);
}

static int act(struct link *l, struct backup_admin_req *in, struct err *e)
{
	const struct bus_ctx ctx = { 0 };
	struct backup_admin_job out = { 0 };
	OWN(arena) struct arena a;

	arena_init(&a, BUS_ARENA_LIMIT);
	if (bus_call(l->bus, SUBJ_BACKUP_ADMIN_DO, &ctx, in, &a, &out, e) < 0)
		return -1;
	if (out.backup_id)
		printf("backup %s\n", out.backup_id);
	return wait_for(l, out.job_id, e);
}

static int create(struct link *l, int argc, char **argv, struct err *e)
{
	struct backup_admin_req in = { .action = "create", .instance_id = argv[0] };

	(void)argc;
	return act(l, &in, e);
}

static int verify(struct link *l, int argc, char **argv, struct err *e)
{
	struct backup_admin_req in = { .action = "verify", .backup_id = argv[0] };

	(void)argc;
	return act(l, &in, e);
}

static int drill(struct link *l, int argc, char **argv, struct err *e)
{
	struct backup_admin_req in = { .action = "drill", .backup_id = argv[0] };

	(void)argc;
	return act(l, &in, e);
}

static int restore(struct link *l, int argc, char **argv, struct err *e)
{
	struct backup_admin_req in = { .action = "restore",
		                       .backup_id = argv[0],
		                       .path = argc > 1 ? argv[1] : NULL };

	return act(l, &in, e);
}

static int prune(struct link *l, int argc, char **argv, struct err *e)
{
	struct backup_admin_req in = { .action = "prune", .user_id = argv[0] };

	(void)argc;
	return act(l, &in, e);
}

static int du(struct link *l, int argc, char **argv, struct err *e)
{
	const struct user_ref in = { .user_id = argv[0] };
	const struct bus_ctx ctx = { 0 };
	struct backup_usage_view out = { 0 };
	OWN(arena) struct arena a;

	(void)argc;
	arena_init(&a, BUS_ARENA_LIMIT);
	if (bus_call(l->bus, SUBJ_BACKUP_ADMIN_USAGE, &ctx, &in, &a, &out, e) < 0)
		return -1;
	printf("%lld backups, %lld objects, %lld bytes\n", out.backups, out.objects, out.bytes);
	return 0;
}

/* Of the platform's own tables. */
static int dump(struct link *l, int argc, char **argv, struct err *e)
{
	struct backup_admin_req in = { .action = "dump" };

	(void)argc;
	(void)argv;
	return act(l, &in, e);
}

static int dumps(struct link *l, int argc, char **argv, struct err *e)
{
	const struct none in = { 0 };
	const struct bus_ctx ctx = { 0 };
	struct backup_dump_list out = { 0 };
	OWN(arena) struct arena a;

	(void)argc;
	(void)argv;
	arena_init(&a, BUS_ARENA_LIMIT);
	if (bus_call(l->bus, SUBJ_BACKUP_ADMIN_DUMPS, &ctx, &in, &a, &out, e) < 0)
		return -1;
	printf("%-33s  %-8s  %12s  %12s  %12s  %-24s\n", "DUMP", "STATUS", "ROWS", "BYTES",
	       "STORED", "DONE");
	for (size_t i = 0; i < out.items_count; i++) {
		const struct backup_dump_view *d = &out.items[i];

		printf("%-33s  %-8s  %12lld  %12lld  %12lld  %-24s\n", d->id, d->status, d->rows,
		       d->bytes, d->bytes_stored, or_dash(d->finished_at));
		if (d->error)
			printf("  %s\n", d->error);
	}
	printf("the next one at %s\n", out.next_at);
	return out.problem[0] ? err_set(e, ERR_CONFLICT, "the platform's dump is %s", out.problem)
	                      : 0;
}

static const struct link_verb verbs[] = {
	{ "list", 0, 1, list },   { "create", 1, 1, create },   { "verify", 1, 1, verify },
	{ "drill", 1, 1, drill }, { "restore", 1, 2, restore }, { "prune", 1, 1, prune },
	{ "du", 1, 1, du },       { "dumps", 0, 0, dumps },     { "dump", 0, 0, dump },
};

static int run(int argc, char **argv, struct err *e)
{
	return link_run(verbs, COUNT(verbs), argc, argv, e);
}

const struct command command_backups = {
	.name = "backups",
	.usage = "list|create|verify|drill|restore|prune|du|dumps|dump …",
	.summary = "lists, makes, proves, restores and clears backups",
	.help = "  list [ASSISTANT]          what there is, newest first\n"
		"  create ASSISTANT          makes one now\n"
		"  verify BACKUP             reads every byte of it back\n"
		"  drill BACKUP              restores it aside, checks all that it holds, starts "
		"from it\n"
		"  restore BACKUP [PATH]     all of it, or one path, into its assistant\n"
		"  prune USER                clears what is past its time\n"
		"  du USER                   what a person's backups take\n"
		"  dumps                     the dumps of the platform's own tables\n"
		"  dump                      makes one now, and reads it back\n"
		"All but list, du and dumps wait until the work is done; exit status 1 where it "
		"failed.\n",
	.conf = link_conf,
	.conf_count = LINK_CONF_COUNT,
	.run = run,
};
