#include "position.h"

#define HEX "0123456789abcdef"

void position_id(long long created_ns, char ret[POSITION_ID_SIZE])
{
	/* Milliseconds: a stream made anew within the same second has another id. */
	snprintf(ret, POSITION_ID_SIZE, "%08x", (unsigned)(created_ns / 1000000 & 0xffffffff));
}

void position_text(const struct position *p, char ret[POSITION_TEXT_SIZE])
{
	snprintf(ret, POSITION_TEXT_SIZE, "%s:%llu", p->id, (unsigned long long)p->seq);
}

int position_parse(const char *text, struct position *ret, struct err *e)
{
	const char *number = text + POSITION_ID_SIZE;
	size_t id_len = strspn(text, HEX), len;

	if (id_len != POSITION_ID_SIZE - 1 || text[id_len] != ':')
		return err_field(e, "since", "must be a position as events have it");
	len = strspn(number, "0123456789");
	if (len == 0 || len > 18 || number[len] || (number[0] == '0' && len > 1))
		return err_field(e, "since", "must be a position as events have it");

	memcpy(ret->id, text, POSITION_ID_SIZE - 1);
	ret->id[POSITION_ID_SIZE - 1] = '\0';
	ret->seq = strtoull(number, NULL, 10);
	return 0;
}
