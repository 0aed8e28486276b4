#include "bus/envelope.h"

#include "base/json.h"

/* NULL with *e set when *out does not fit m or memory is out. */
char *envelope_data(const struct wire_msg *m, const void *out, const struct seal *seal,
                    struct err *e)
{
	OWN(json) cJSON *doc = cJSON_CreateObject();
	cJSON *data = NULL;
	char *text;

	if (wire_encode(m, out, seal, &data, e) < 0)
		return NULL;
	cJSON_AddTrueToObject(doc, "success");
	cJSON_AddItemToObject(doc, "data", data);
	cJSON_AddNullToObject(doc, "error");
	text = cJSON_PrintUnformatted(doc);
	if (!text)
		err_set(e, ERR_INTERNAL, "out of memory");
	return text;
}

char *envelope_error(const struct err *e)
{
	OWN(json) cJSON *doc = cJSON_CreateObject();
	cJSON *error, *details;

	cJSON_AddFalseToObject(doc, "success");
	cJSON_AddNullToObject(doc, "data");
	error = cJSON_AddObjectToObject(doc, "error");
	cJSON_AddStringToObject(error, "code", err_name(e->code));
	cJSON_AddStringToObject(error, "message", err_public(e));
	details = cJSON_AddObjectToObject(error, "details");
	if (e->field[0])
		cJSON_AddStringToObject(details, "field", e->field);
	if (e->retry_after_s > 0)
		cJSON_AddNumberToObject(details, "retry_after_s", e->retry_after_s);
	return cJSON_PrintUnformatted(doc);
}

static int error_open(const cJSON *error, struct err *e)
{
	const cJSON *details = cJSON_GetObjectItemCaseSensitive(error, "details");
	const cJSON *retry = cJSON_GetObjectItemCaseSensitive(details, "retry_after_s");
	const char *code = json_text(error, "code"), *message = json_text(error, "message");
	const char *field = json_text(details, "field");

	if (!code || !message)
		return err_set(e, ERR_INTERNAL, "reply is no envelope");
	err_set(e, err_from_name(code), "%s", message);
	snprintf(e->field, sizeof(e->field), "%s", field ? field : "");
	if (cJSON_IsNumber(retry) && retry->valuedouble > 0 && retry->valuedouble < 1e6)
		e->retry_after_s = (int)retry->valuedouble;
	return -1;
}

int envelope_open(const char *text, size_t len, const struct wire_msg *m, const struct seal *seal,
                  struct arena *a, void *out, struct err *e)
{
	OWN(json) cJSON *doc = NULL;
	struct err inner = ERR_INIT;

	if (json_parse(text, len, &doc, &inner) < 0)
		return err_set(e, ERR_INTERNAL, "reply %s", inner.msg);
	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(doc, "success")))
		return error_open(cJSON_GetObjectItemCaseSensitive(doc, "error"), e);
	if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(doc, "success")))
		return err_set(e, ERR_INTERNAL, "reply is no envelope");
	if (wire_decode(m, cJSON_GetObjectItemCaseSensitive(doc, "data"), seal, a, out, &inner) < 0)
		return err_set(e, ERR_INTERNAL, "reply is no %s: %s %s", m->name, inner.field,
		               inner.msg);
	return 0;
}
