#include "text_diff.h"

#include "base/own.h"

#define CONTEXT 3

struct line {
	const char *at;
	size_t len; /* without its newline */
};

struct text {
	struct line *lines;
	size_t count;
};

/* What becomes of a line. */
struct edit {
	char kind; /* ' ' '-' '+' */
	size_t before, after;
	struct line line;
};

/* All that one comparison needs. */
struct diff {
	struct text a, b;
	struct edit *edits;
	size_t count;
	unsigned short *table;
};

static void diff_done(struct diff *d)
{
	free(d->a.lines);
	free(d->b.lines);
	free(d->edits);
	free(d->table);
}

static int split(const char *text, struct text *ret, struct err *e)
{
	size_t count = 1;

	for (const char *p = text; *p; p++)
		count += *p == '\n';
	ret->lines = calloc(count, sizeof(*ret->lines));
	if (!ret->lines)
		return err_set(e, ERR_INTERNAL, "out of memory");
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, "\n");

		ret->lines[ret->count++] = (struct line){ p, len };
		p += len + (p[len] == '\n');
	}
	return 0;
}

static bool same(const struct line *a, const struct line *b)
{
	return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

/* table[i][j]: the longest common sequence of what follows line i of a and line j of b. */
static void fill(unsigned short *table, const struct line *a, size_t n, const struct line *b,
                 size_t m)
{
	const size_t wide = m + 1;

	for (size_t i = n; i-- > 0;) {
		for (size_t j = m; j-- > 0;) {
			unsigned short down = table[(i + 1) * wide + j];
			unsigned short right = table[i * wide + j + 1];

			table[i * wide + j] =
				same(&a[i], &b[j])
					? (unsigned short)(table[(i + 1) * wide + j + 1] + 1)
				: down >= right ? down
						: right;
		}
	}
}

static void keep(struct edit *edits, size_t *count, char kind, size_t at[2],
                 const struct line *line)
{
	edits[(*count)++] = (struct edit){ kind, at[0], at[1], *line };
	at[0] += kind != '+';
	at[1] += kind != '-';
}

/* How many lines are equal at the beginning, and of the rest at the end. */
static void equal_ends(const struct text *a, const struct text *b, size_t *ret_head,
                       size_t *ret_tail)
{
	size_t head = 0, tail = 0;

	while (head < a->count && head < b->count && same(&a->lines[head], &b->lines[head]))
		head++;
	while (tail < a->count - head && tail < b->count - head &&
	       same(&a->lines[a->count - 1 - tail], &b->lines[b->count - 1 - tail]))
		tail++;
	*ret_head = head;
	*ret_tail = tail;
}

static int edits_make(struct diff *d, struct err *e)
{
	const struct text *a = &d->a, *b = &d->b;
	size_t head, tail, at[2] = { 0, 0 }, n, m;

	equal_ends(a, b, &head, &tail);
	n = a->count - head - tail;
	m = b->count - head - tail;
	if (n > TEXT_DIFF_LINES || m > TEXT_DIFF_LINES)
		return err_set(e, ERR_TOO_LARGE, "more than %d lines differ", TEXT_DIFF_LINES);
	d->edits = calloc(a->count + b->count + 1, sizeof(*d->edits));
	d->table = calloc((n + 1) * (m + 1), sizeof(*d->table));
	if (!d->edits || !d->table)
		return err_set(e, ERR_INTERNAL, "out of memory");
	fill(d->table, a->lines + head, n, b->lines + head, m);

	for (size_t i = 0; i < head; i++)
		keep(d->edits, &d->count, ' ', at, &a->lines[i]);
	for (size_t i = 0, j = 0; i < n || j < m;) {
		const struct line *x = &a->lines[head + i], *y = &b->lines[head + j];

		if (i < n && j < m && same(x, y)) {
			keep(d->edits, &d->count, ' ', at, x);
			i++, j++;
		} else if (i < n && (j == m || d->table[(i + 1) * (m + 1) + j] >=
		                                       d->table[i * (m + 1) + j + 1])) {
			keep(d->edits, &d->count, '-', at, x);
			i++;
		} else {
			keep(d->edits, &d->count, '+', at, y);
			j++;
		}
	}
	for (size_t i = a->count - tail; i < a->count; i++)
		keep(d->edits, &d->count, ' ', at, &a->lines[i]);
	return 0;
}

/* The hunk that begins at or after `from`: changed lines no more than twice the context apart, with
 * the context around them. False: there is none. */
static bool next_hunk(const struct edit *edits, size_t count, size_t from, size_t *ret_begin,
                      size_t *ret_end)
{
	size_t first = from, last;

	while (first < count && edits[first].kind == ' ')
		first++;
	if (first == count)
		return false;
	last = first;
	for (size_t i = first; i < count && i <= last + 2 * CONTEXT + 1; i++)
		if (edits[i].kind != ' ')
			last = i;
	*ret_begin = first - from > CONTEXT ? first - CONTEXT : from;
	*ret_end = count - last - 1 > CONTEXT ? last + 1 + CONTEXT : count;
	return true;
}

static void print_hunk(FILE *out, const struct edit *edits, size_t begin, size_t end)
{
	size_t before = 0, after = 0;

	for (size_t i = begin; i < end; i++) {
		before += edits[i].kind != '+';
		after += edits[i].kind != '-';
	}
	fprintf(out, "@@ -%zu,%zu +%zu,%zu @@\n", edits[begin].before + (before > 0), before,
	        edits[begin].after + (after > 0), after);
	for (size_t i = begin; i < end; i++)
		fprintf(out, "%c%.*s\n", edits[i].kind, (int)edits[i].line.len, edits[i].line.at);
}

static int print(const struct diff *d, char **ret, struct err *e)
{
	size_t begin = 0, end = 0, len = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return err_set(e, ERR_INTERNAL, "out of memory");
	while (next_hunk(d->edits, d->count, end, &begin, &end))
		print_hunk(out, d->edits, begin, end);
	if (fclose(out) != 0 || !text)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = text;
	return 0;
}

int text_diff(const char *before, const char *after, char **ret, struct err *e)
{
	struct diff d = { 0 };
	int r = split(before, &d.a, e) < 0 || split(after, &d.b, e) < 0 || edits_make(&d, e) < 0 ||
	                        print(&d, ret, e) < 0
	                ? -1
	                : 0;

	diff_done(&d);
	return r;
}
