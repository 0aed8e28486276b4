#include "disaster.h"

#include "base/clock.h"

static int one(struct engine *en, const char *id, struct disaster_dump *ret, struct err *e)
{
	struct dump_totals totals = { 0 };
	char when[CLOCK_TEXT_SIZE];

	if (dump_check(en, id, NULL, &totals, e) < 0 || dump_read_head(en, id, &ret->head, e) < 0)
		return -1;
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	printf("dump %s of %s: %lld rows in %zu parts, whole\n", id,
	       clock_text(ret->head.created_ms, when), totals.rows, ret->head.part_count);
	(void)fflush(stdout);
	return 0;
}

int disaster_find(struct engine *en, const char *id, struct disaster_dump *ret, struct err *e)
{
	OWN(dump_list) struct dump_list l = { 0 };
	struct err first = ERR_INIT;

	if (id)
		return dump_id_is_valid(id) ? one(en, id, ret, e)
		                            : err_field(e, "--dump", "is no dump's id: '%s'", id);
	if (dump_list(en, &l, e) < 0)
		return -1;
	for (size_t i = l.count; i-- > 0;) {
		struct err why = ERR_INIT;

		if (!l.found[i].is_whole) {
			printf("dump %s was never finished: the one before it is tried\n",
			       l.found[i].id);
			continue;
		}
		if (one(en, l.found[i].id, ret, &why) == 0)
			return 0;
		/* The store is away: that says nothing of the dump. */
		if (why.code != ERR_UPSTREAM && why.code != ERR_FORBIDDEN &&
		    why.code != ERR_NOT_FOUND) {
			*e = why;
			return -1;
		}
		printf("dump %s is not good: %s: the one before it is tried\n", l.found[i].id,
		       why.msg);
		if (first.code == ERR_NONE)
			first = why;
	}
	if (first.code == ERR_NONE)
		return err_set(e, ERR_NOT_FOUND, "the store holds no dump of a platform");
	*e = first;
	return -1;
}
