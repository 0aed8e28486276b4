/* zakictl instances: all people's assistants, and their change to another image, through
 * instance-manager. */

#include "command.h"
#include "link.h"

#include "base/clock.h"
#include "base/own.h"
#include "store/cursor.h"

#define LOOK_MS 200
#define AWAY_MS (2LL * 60 * 1000)      /* instance-manager may be away while it is waited for */
#define WAIT_MS (2LL * 60 * 60 * 1000) /* for one upgrade to end */

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

/* A page of all assistants; *cursor is where it goes on, "" at the end. */
static int page(struct link *l, struct arena *a, char cursor[CURSOR_SIZE],
                struct instance_admin_list *ret, struct err *e)
{
	struct instance_admin_list_req in = { .cursor = cursor[0] ? cursor : NULL,
		                              .limit = 100,
		                              .has_limit = true };
	const struct bus_ctx ctx = { 0 };

	if (bus_call(l->bus, SUBJ_INSTANCE_ADMIN_LIST, &ctx, &in, a, ret, e) < 0)
		return -1;
	snprintf(cursor, CURSOR_SIZE, "%s", ret->next_cursor ? ret->next_cursor : "");
	return 0;
}

static int list(struct link *l, int argc, char **argv, struct err *e)
{
	char cursor[CURSOR_SIZE] = "";

	(void)argc;
	(void)argv;
	printf("%-36s  %-12s  %-7s  %5s  %-30s  %-30s  %s\n", "ASSISTANT", "STATE", "HEALTH",
	       "PORT", "IMAGE", "WANTED", "NAME");
	do {
		struct instance_admin_list out = { 0 };
		OWN(arena) struct arena a;

		arena_init(&a, BUS_ARENA_LIMIT);
		if (page(l, &a, cursor, &out, e) < 0)
			return -1;
		for (size_t i = 0; i < out.items_count; i++) {
			const struct instance_admin_view *v = &out.items[i];

			printf("%-36s  %-12s  %-7s  %5lld  %-30s  %-30s  %s\n", v->instance_id,
			       v->status, v->health, v->port, or_dash(v->image), v->wanted_image,
			       v->name);
			if (v->status_cause)
				printf("  %s\n", v->status_cause);
		}
	} while (cursor[0]);
	return 0;
}

static bool is_away(const struct err *e)
{
	return e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT;
}

/* Until the upgrade ends, whatever becomes of instance-manager meanwhile. */
static int wait_for(struct link *l, const char *operation_id, struct err *e)
{
	const struct instance_upgrade_ref in = { .operation_id = operation_id };
	const struct bus_ctx ctx = { 0 };
	long long until_ms = clock_mono_ms() + WAIT_MS, heard_ms = clock_mono_ms();
	char told[64] = "";

	while (clock_mono_ms() < until_ms) {
		struct instance_upgrade_state out = { 0 };
		OWN(arena) struct arena a;

		arena_init(&a, BUS_ARENA_LIMIT);
		*e = ERR_INIT;
		if (bus_call(l->bus, SUBJ_INSTANCE_ADMIN_UPGRADE_GET, &ctx, &in, &a, &out, e) < 0) {
			if (!is_away(e) || clock_mono_ms() - heard_ms > AWAY_MS)
				return -1;
			clock_sleep_ms(LOOK_MS);
			continue;
		}
		heard_ms = clock_mono_ms();
		if (out.is_finished && out.error)
			return err_set(e, ERR_CONFLICT, "%s: %s", or_dash(out.cause), out.error);
		if (strcmp(out.step, told) != 0) {
			printf("  %s\n", out.step);
			snprintf(told, sizeof(told), "%s", out.step);
			(void)fflush(stdout);
		}
		if (out.is_finished)
			return 0;
		clock_sleep_ms(LOOK_MS);
	}
	return err_set(e, ERR_TIMEOUT, "it goes on by itself; see zakictl instances list");
}

static int upgrade_one(struct link *l, const char *instance_id, struct err *e)
{
	struct instance_upgrade_req in = { .instance_id = instance_id };
	struct instance_upgrade_asked out = { 0 };
	const struct bus_ctx ctx = { 0 };
	OWN(arena) struct arena a;

	arena_init(&a, BUS_ARENA_LIMIT);
	if (bus_call(l->bus, SUBJ_INSTANCE_ADMIN_UPGRADE, &ctx, &in, &a, &out, e) < 0)
		return -1;
	if (!out.operation_id) {
		printf("%s has %s already\n", instance_id, out.image_to);
		return 0;
	}
	printf("%s  %s -> %s\n", instance_id, or_dash(out.image_from), out.image_to);
	(void)fflush(stdout);
	return wait_for(l, out.operation_id, e);
}

struct tally {
	int done, failed;
};

/* Those of one page that have another image than is wanted, one after the other. */
static int upgrade_page(struct link *l, const struct instance_admin_list *items, bool goes_on,
                        struct tally *t, struct err *e)
{
	for (size_t i = 0; i < items->items_count; i++) {
		const struct instance_admin_view *v = &items->items[i];

		if ((v->image && strcmp(v->image, v->wanted_image) == 0) ||
		    strcmp(v->status, "deleting") == 0)
			continue;
		if (upgrade_one(l, v->instance_id, e) == 0) {
			t->done++;
			continue;
		}
		if (!goes_on)
			return err_wrap(e, v->instance_id);
		t->failed++;
		fprintf(stderr, "zakictl instances: %s: %s\n", v->instance_id, e->msg);
		*e = ERR_INIT;
	}
	return 0;
}

static int upgrade_all(struct link *l, bool goes_on, struct err *e)
{
	char cursor[CURSOR_SIZE] = "";
	struct tally t = { 0 };

	do {
		struct instance_admin_list out = { 0 };
		OWN(arena) struct arena a;

		arena_init(&a, BUS_ARENA_LIMIT);
		if (page(l, &a, cursor, &out, e) < 0 || upgrade_page(l, &out, goes_on, &t, e) < 0)
			return -1;
	} while (cursor[0]);
	printf("%d upgraded, %d failed\n", t.done, t.failed);
	return t.failed ? err_set(e, ERR_CONFLICT, "%d of them failed", t.failed) : 0;
}

static int upgrade(struct link *l, int argc, char **argv, struct err *e)
{
	bool goes_on = argc == 2 && strcmp(argv[1], "--keep-going") == 0;

	if (strcmp(argv[0], "--all") == 0) {
		if (argc == 2 && !goes_on)
			return err_field(e, argv[1], "is not known here; see --help");
		return upgrade_all(l, goes_on, e);
	}
	if (argc != 1)
		return err_field(e, argv[1], "is not known here; see --help");
	return upgrade_one(l, argv[0], e);
}

static const struct link_verb verbs[] = {
	{ "list", 0, 0, list },
	{ "upgrade", 1, 2, upgrade },
};

static int run(int argc, char **argv, struct err *e)
{
	return link_run(verbs, COUNT(verbs), argc, argv, e);
}

const struct command command_instances = {
	.name = "instances",
	.usage = "list | upgrade ASSISTANT | upgrade --all [--keep-going]",
	.summary = "lists assistants, and gives them the image of OPENCLAW_IMAGE",
	.help = "  list                         all people's, newest first\n"
		"  upgrade ASSISTANT            backup, new container, and back where it fails\n"
		"  upgrade --all                those with another image, one after the other, up "
		"to\n"
		"                               the first that fails\n"
		"  upgrade --all --keep-going   all of them, whichever fails\n"
		"Waits until the work is done; exit status 1 where one failed. The image wanted "
		"is\n"
		"instance-manager's OPENCLAW_IMAGE.\n",
	.conf = link_conf,
	.conf_count = LINK_CONF_COUNT,
	.run = run,
};
