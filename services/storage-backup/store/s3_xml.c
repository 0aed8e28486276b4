#include "store/s3_xml.h"

#include <expat.h>

#define DEPTH_MAX 8
#define NAME_SIZE 64

struct reading {
	XML_Parser parser;
	s3_xml_value *on_value;
	void *ctx;
	int depth;
	char names[DEPTH_MAX][NAME_SIZE];
	bool is_leaf, is_wrong;
	char value[S3_XML_VALUE_MAX + 1];
	size_t len;
};

static void stop(struct reading *r, bool is_wrong)
{
	r->is_wrong |= is_wrong;
	XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *r = ctx;

	(void)attributes;
	if (r->depth == DEPTH_MAX) {
		stop(r, true);
		return;
	}
	snprintf(r->names[r->depth++], NAME_SIZE, "%s", name);
	r->is_leaf = true;
	r->len = 0;
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int len)
{
	struct reading *r = ctx;

	if (!r->is_leaf)
		return;
	if ((size_t)len > S3_XML_VALUE_MAX - r->len) {
		stop(r, true);
		return;
	}
	memcpy(r->value + r->len, text, (size_t)len);
	r->len += (size_t)len;
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct reading *r = ctx;

	(void)name;
	if (r->depth == 0)
		return;
	r->depth--;
	if (r->is_leaf) {
		r->value[r->len] = 0;
		if (!r->on_value(r->ctx, r->depth ? r->names[r->depth - 1] : "", r->names[r->depth],
		                 r->value))
			stop(r, false);
	}
	r->is_leaf = false;
}

int s3_xml_read(const char *text, size_t len, s3_xml_value *on_value, void *ctx, struct err *e)
{
	struct reading r = { .on_value = on_value, .ctx = ctx };
	enum XML_Error why;

	r.parser = XML_ParserCreate(NULL);
	if (!r.parser)
		return err_set(e, ERR_INTERNAL, "out of memory");
	XML_SetUserData(r.parser, &r);
	XML_SetElementHandler(r.parser, on_start, on_end);
	XML_SetCharacterDataHandler(r.parser, on_text);
	why = XML_Parse(r.parser, text, (int)len, XML_TRUE) == XML_STATUS_OK
	              ? XML_ERROR_NONE
	              : XML_GetErrorCode(r.parser);
	XML_ParserFree(r.parser);
	if (why == XML_ERROR_NONE || (why == XML_ERROR_ABORTED && !r.is_wrong))
		return 0;
	return err_set(e, ERR_UPSTREAM, "the store's answer is not understood: %s",
	               XML_ErrorString(why));
}
