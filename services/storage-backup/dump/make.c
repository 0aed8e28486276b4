#include "dump/dump.h"

#include "base/clock.h"
#include "base/fault.h"
#include "format/mem.h"

#include <sodium.h>

#define ROWS "200" /* fetched at a time */

/* clang-format off */
static const struct table {
	const char *name, *open, *fetch, *close;
} tables[] = {
#define DUMP_TABLE(table, ids) { #table, \
	"DECLARE dump_" #table " NO SCROLL CURSOR FOR" \
	" SELECT row_to_json(t)::text AS row FROM " #table " t", \
	"FETCH " ROWS " FROM dump_" #table, \
	"CLOSE dump_" #table },
#include "dump/tables.def"
#undef DUMP_TABLE
};
/* clang-format on */

struct maker {
	struct engine *en;
	struct pg_conn *c;
	const char *id;
	const struct dump_watch *watch;
	struct dump_head head;
	struct dump_totals totals;
	/* the part that is being filled */
	const struct table *table;
	char *text;
	size_t len, size;
	uint64_t rows;
};

static int room_for(struct maker *m, size_t more, struct err *e)
{
	size_t size = m->size ? m->size : DUMP_PART_BYTES;
	char *text;

	while (size < m->len + more)
		size *= 2;
	if (size == m->size)
		return 0;
	text = realloc(m->text, size);
	if (!text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	m->text = text;
	m->size = size;
	return 0;
}

/* Stores what is gathered as the next part. */
static int part_end(struct maker *m, struct err *e)
{
	struct dump_part part = { .rows = m->rows, .len = m->len + 1 };
	char name[128];

	if (!m->rows)
		return 0;
	if (m->watch && m->watch->go_on && !m->watch->go_on(m->watch->ctx))
		return err_set(e, ERR_CONFLICT, "told to stop");
	m->text[m->len++] = ']';
	snprintf(part.table, sizeof(part.table), "%s", m->table->name);
	crypto_generichash(part.hash, sizeof(part.hash), (unsigned char *)m->text, m->len, NULL, 0);
	snprintf(name, sizeof(name), "dumps/%s/%06zu", m->id, m->head.part_count);
	if (engine_blob_put(m->en, name, m->text, m->len, e) < 0 ||
	    dump_head_add(&m->head, &part, e) < 0)
		return -1;
	/* A crash here leaves parts without a head: no dump, cleared away a day later. */
	fault_point("dump.part");
	m->totals.rows += (long long)m->rows;
	m->totals.bytes += (long long)m->len;
	m->rows = 0;
	m->len = 0;
	return 0;
}

static int add_row(struct maker *m, const char *row, struct err *e)
{
	size_t len = strlen(row);

	if (m->rows && m->len + len + 2 > DUMP_PART_BYTES && part_end(m, e) < 0)
		return -1;
	if (room_for(m, len + 2, e) < 0)
		return -1;
	m->text[m->len++] = m->rows ? ',' : '[';
	memcpy(m->text + m->len, row, len);
	m->len += len;
	m->rows++;
	return 0;
}

static int dump_table(struct maker *m, const struct table *t, struct err *e)
{
	int count;

	m->table = t;
	if (pg_query(m->c, t->open, NULL, 0, NULL, e) < 0)
		return err_wrap(e, t->name);
	do {
		OWN(pg_result) PGresult *res = NULL;

		if (pg_query(m->c, t->fetch, NULL, 0, &res, e) < 0)
			return err_wrap(e, t->name);
		count = PQntuples(res);
		for (int i = 0; i < count; i++)
			if (add_row(m, pg_text(res, i, "row"), e) < 0)
				return -1;
	} while (count > 0);
	if (pg_query(m->c, t->close, NULL, 0, NULL, e) < 0)
		return err_wrap(e, t->name);
	return part_end(m, e);
}

static int note_schemas(struct maker *m, struct err *e)
{
	static const char sql[] = "SELECT service, max(version) AS version FROM schema_migrations"
				  " GROUP BY service ORDER BY service";
	OWN(pg_result) PGresult *res = NULL;

	if (pg_query(m->c, sql, NULL, 0, &res, e) < 0)
		return -1;
	if (PQntuples(res) > DUMP_SCHEMAS_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d services", DUMP_SCHEMAS_MAX);
	for (int i = 0; i < PQntuples(res); i++) {
		struct dump_schema *s = &m->head.schemas[m->head.schema_count++];

		snprintf(s->service, sizeof(s->service), "%s", pg_text(res, i, "service"));
		if (pg_int(res, i, "version", &s->version, e) < 0)
			return -1;
	}
	return 0;
}

static int head_put(struct maker *m, struct err *e)
{
	OWN(mem) unsigned char *text = NULL;
	char name[128];
	size_t len = 0;

	if (dump_head_encode(&m->head, &text, &len, e) < 0)
		return -1;
	fault_point("dump.parts");
	snprintf(name, sizeof(name), "dumps/%s/head", m->id);
	return engine_blob_put(m->en, name, text, len, e);
}

static int make(struct maker *m, struct err *e)
{
	static const char sql_moment[] =
		"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
	/* It waits for the store between two fetches, whose own time-outs end that. */
	static const char sql_idle[] = "SET LOCAL idle_in_transaction_session_timeout = '15min'";
	static const char sql_now[] =
		"SELECT floor(extract(epoch FROM now()) * 1000)::bigint AS now_ms";
	OWN(pg_tx) struct pg_tx tx = { 0 };
	OWN(pg_result) PGresult *now = NULL;

	if (pg_begin(m->c, &tx, e) < 0 || pg_query(m->c, sql_moment, NULL, 0, NULL, e) < 0 ||
	    pg_query(m->c, sql_idle, NULL, 0, NULL, e) < 0 ||
	    pg_query(m->c, sql_now, NULL, 0, &now, e) < 0 ||
	    pg_int(now, 0, "now_ms", &m->head.created_ms, e) < 0 || note_schemas(m, e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(tables); i++)
		if (dump_table(m, &tables[i], e) < 0)
			return -1;
	return head_put(m, e);
}

int dump_make(struct engine *en, struct pg_conn *c, const char *id, const struct dump_watch *w,
              struct dump_totals *ret, struct err *e)
{
	struct maker m = { .en = en, .c = c, .id = id, .watch = w };
	int r = make(&m, e);

	/* What is in it is people's: it does not stay in memory. */
	if (m.text)
		sodium_memzero(m.text, m.size);
	free(m.text);
	dump_head_done(&m.head);
	if (r == 0)
		*ret = m.totals;
	return r;
}
