/* Whatever an assistant's gateway may send, through all that reads it. */

#include "link/chat_news.h"
#include "link/frame.h"
#include "link/session_row.h"
#include "link/usage.h"

#include "base/own.h"

#define PARTS_MAX 16

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void read_payload(const struct frame *f)
{
	struct usage_part parts[PARTS_MAX];
	struct frame_challenge challenge;
	struct frame_hello hello;
	struct session_row row;
	struct err ignored = ERR_INIT;
	bool flag;
	char text[64];

	(void)frame_challenge(f, &challenge, &ignored);
	(void)frame_hello(f, &hello, &ignored);
	if (!f->is_event && !f->is_ok)
		(void)frame_error(f, &ignored);
	(void)session_row_read(f->payload, &row);
	(void)session_row_of_event(f->name, f->payload, &row, &flag);
	chat_text(f->payload, text, sizeof(text));
	(void)usage_read(f->payload, parts, PARTS_MAX, &flag);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *text = malloc(size + 1);
	struct frame f = { 0 };
	struct err e = ERR_INIT;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (frame_read(text, size, &f, &e) == 0)
		read_payload(&f);
	frame_done(&f);
	free(text);
	return 0;
}
