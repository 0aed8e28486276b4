#include "link/frame.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/own.h"

#include <ctype.h>

/* All that a backend may ask for; with one of them missing, half of what people do would fail. */
static const char *const scopes[] = { "operator.read", "operator.write", "operator.admin",
	                              "operator.pairing", "operator.approvals" };
#define SCOPES      "operator.read,operator.write,operator.admin,operator.pairing,operator.approvals"
#define CLIENT_ID   "gateway-client" /* of a closed list of the gateway's */
#define CLIENT_MODE "backend"
#define ROLE        "operator"
#define PLATFORM    "linux"
#define PAYLOAD_MIN (64LL << 10)
#define PAYLOAD_MAX (64LL << 20)
#define ARENA_LIMIT 8192
#define ESCAPE_LEN  6            /* \uXXXX */
#define MISSING     "_NOT_FOUND" /* the end of a closer code: CRON_JOB_NOT_FOUND */
#define REPLACEMENT "\\ufffd"

/* The code unit of an escape "\uXXXX" at s; -1 where there is none. */
static long unit_at(const char *s, size_t len)
{
	char hex[5] = "";

	if (len < ESCAPE_LEN || s[0] != '\\' || s[1] != 'u')
		return -1;
	memcpy(hex, s + 2, 4);
	return strspn(hex, "0123456789abcdefABCDEF") == 4 ? strtol(hex, NULL, 16) : -1;
}

static bool is_high(long unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(long unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static void surrogates_mend(char *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		long unit;

		if (text[i] != '\\')
			continue;
		unit = unit_at(text + i, len - i);
		if (is_high(unit) && is_low(unit_at(text + i + ESCAPE_LEN, len - i - ESCAPE_LEN)))
			i += 2 * ESCAPE_LEN - 1;
		else if (is_high(unit) || is_low(unit))
			memcpy(text + i, REPLACEMENT, ESCAPE_LEN), i += ESCAPE_LEN - 1;
		else
			i++; /* whatever is escaped, a backslash too */
	}
}

static const cJSON *member(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

/* A short text of printable ASCII without spaces; false where it is absent or anything else. */
static bool take_word(const cJSON *obj, const char *key, char *out, size_t size)
{
	const char *text = json_text(obj, key);
	size_t len = text ? strlen(text) : 0;

	if (len == 0 || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)text[i]))
			return false;
	memcpy(out, text, len + 1);
	return true;
}

static bool take_int(const cJSON *obj, const char *key, long long *ret)
{
	const cJSON *v = member(obj, key);

	if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > 9e15)
		return false;
	*ret = (long long)v->valuedouble;
	return true;
}

static int wrong(struct err *e, const char *what)
{
	return err_set(e, ERR_UPSTREAM, "the assistant's gateway sent %s", what);
}

static int read_event(cJSON *doc, struct frame *f, struct err *e)
{
	f->is_event = true;
	if (!take_word(doc, "event", f->name, sizeof(f->name)))
		return wrong(e, "an event without a name");
	if (member(doc, "seq") && (!take_int(doc, "seq", &f->seq) || f->seq == 0))
		return wrong(e, "an event whose seq is no number");
	f->payload = cJSON_DetachItemFromObjectCaseSensitive(doc, "payload");
	return 0;
}

static void read_error(const cJSON *error, struct frame *f)
{
	const char *message = json_text(error, "message");

	if (!take_word(error, "code", f->code, sizeof(f->code)))
		snprintf(f->code, sizeof(f->code), "UNKNOWN");
	snprintf(f->message, sizeof(f->message), "%.150s", message ? message : "no reason given");
	/* Cut within a character, or over several lines: for people and logs it is one plain line. */
	for (char *c = f->message; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	(void)take_word(member(error, "details"), "code", f->detail, sizeof(f->detail));
	(void)take_word(member(error, "details"), "requestId", f->request_id,
	                sizeof(f->request_id));
}

static int read_response(cJSON *doc, struct frame *f, struct err *e)
{
	const cJSON *ok = member(doc, "ok"), *error = member(doc, "error");

	if (!take_word(doc, "id", f->name, sizeof(f->name)))
		return wrong(e, "a response without an id");
	if (!cJSON_IsBool(ok))
		return wrong(e, "a response that is neither ok nor not");
	f->is_ok = cJSON_IsTrue(ok);
	if (f->is_ok)
		f->payload = cJSON_DetachItemFromObjectCaseSensitive(doc, "payload");
	else if (cJSON_IsObject(error))
		read_error(error, f);
	else
		return wrong(e, "a response without a reason");
	return 0;
}

int frame_read(char *text, size_t len, struct frame *ret, struct err *e)
{
	OWN(json) cJSON *doc = NULL;
	struct err why = ERR_INIT;
	const char *type;

	*ret = (struct frame){ 0 };
	if (len > FRAME_MAX)
		return wrong(e, "more than a frame may have");
	surrogates_mend(text, len);
	if (json_parse(text, len, &doc, &why) < 0)
		return err_set(e, ERR_UPSTREAM, "the assistant's gateway sent no JSON: %.80s",
		               why.msg);
	if (!cJSON_IsObject(doc))
		return wrong(e, "JSON that is no object");
	type = json_text(doc, "type");
	if (type && strcmp(type, "event") == 0)
		return read_event(doc, ret, e);
	if (type && strcmp(type, "res") == 0)
		return read_response(doc, ret, e);
	return wrong(e, "a frame of an unknown type");
}

void frame_done(struct frame *f)
{
	cJSON_Delete(f->payload);
	f->payload = NULL;
}

int frame_error(const struct frame *f, struct err *e)
{
	/* clang-format off */
	static const struct { const char *code; enum err_code ours; } rows[] = {
		{ "INVALID_REQUEST", ERR_INVALID },
		{ "NOT_FOUND",       ERR_NOT_FOUND },
		{ "CONFLICT",        ERR_CONFLICT },
		{ "UNAVAILABLE",     ERR_UNAVAILABLE },
		{ "TIMEOUT",         ERR_TIMEOUT },
	};
	/* clang-format on */
	size_t len = strlen(f->detail);

	if (len > strlen(MISSING) && strcmp(f->detail + len - strlen(MISSING), MISSING) == 0)
		return err_set(e, ERR_NOT_FOUND, "the assistant has none such");
	for (size_t i = 0; i < COUNT(rows); i++)
		if (strcmp(rows[i].code, f->code) == 0)
			return err_set(e, rows[i].ours, "the assistant refused: %s", f->message);
	return err_set(e, ERR_UPSTREAM, "the assistant refused (%s): %s", f->code, f->message);
}

int frame_challenge(const struct frame *f, struct frame_challenge *ret, struct err *e)
{
	struct frame_challenge c;

	if (!f->is_event || strcmp(f->name, "connect.challenge") != 0)
		return wrong(e, "something before its challenge");
	if (!take_word(f->payload, "nonce", c.nonce, sizeof(c.nonce)))
		return wrong(e, "a challenge without a nonce");
	if (!take_int(f->payload, "ts", &c.at_ms))
		return wrong(e, "a challenge without a time");
	*ret = c;
	return 0;
}

static bool has_scope(const cJSON *list, const char *scope)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (cJSON_IsString(v) && strcmp(v->valuestring, scope) == 0)
			return true;
	return false;
}

int frame_hello(const struct frame *f, struct frame_hello *ret, struct err *e)
{
	const cJSON *auth = member(f->payload, "auth"), *policy = member(f->payload, "policy");
	const char *type = json_text(f->payload, "type");
	long long protocol = 0, number;

	if (f->is_event || !f->is_ok || !type || strcmp(type, "hello-ok") != 0)
		return wrong(e, "no hello");
	if (!take_int(f->payload, "protocol", &protocol) || protocol != FRAME_PROTOCOL)
		return err_set(e, ERR_UPSTREAM,
		               "the assistant's gateway speaks protocol %lld, not %d", protocol,
		               FRAME_PROTOCOL);
	for (size_t i = 0; i < COUNT(scopes); i++)
		if (!has_scope(member(auth, "scopes"), scopes[i]))
			return err_set(e, ERR_UPSTREAM, "the assistant's gateway does not grant %s",
			               scopes[i]);
	*ret = (struct frame_hello){ .payload_max = PAYLOAD_MIN, .tick_ms = FRAME_TICK_MS };
	(void)take_word(auth, "deviceToken", ret->device_token, sizeof(ret->device_token));
	(void)take_word(member(f->payload, "server"), "version", ret->version,
	                sizeof(ret->version));
	if (take_int(policy, "maxPayload", &number) && number >= PAYLOAD_MIN)
		ret->payload_max = number < PAYLOAD_MAX ? number : PAYLOAD_MAX;
	if (take_int(policy, "tickIntervalMs", &number) && number >= FRAME_TICK_MIN_MS)
		ret->tick_ms = number < FRAME_TICK_MAX_MS ? number : FRAME_TICK_MAX_MS;
	return 0;
}

/* ---- from us ----------------------------------------------------------------------------------- */

static bool add_text(cJSON *obj, const char *key, const char *value)
{
	return cJSON_AddStringToObject(obj, key, value) != NULL;
}

static bool add_number(cJSON *obj, const char *key, long long value)
{
	return cJSON_AddNumberToObject(obj, key, (double)value) != NULL;
}

static bool add_request(cJSON *req, const char *id, const char *method)
{
	return add_text(req, "type", "req") && add_text(req, "id", id) &&
	       add_text(req, "method", method);
}

static bool add_client(cJSON *params)
{
	cJSON *client = cJSON_AddObjectToObject(params, "client");
	cJSON *list = cJSON_AddArrayToObject(params, "scopes");

	for (size_t i = 0; list && i < COUNT(scopes); i++) {
		cJSON *scope = cJSON_CreateString(scopes[i]);

		if (!scope || !cJSON_AddItemToArray(list, scope)) {
			cJSON_Delete(scope);
			return false;
		}
	}
	return list && add_number(params, "minProtocol", FRAME_PROTOCOL) &&
	       add_number(params, "maxProtocol", FRAME_PROTOCOL) &&
	       add_text(params, "role", ROLE) && add_text(client, "id", CLIENT_ID) &&
	       add_text(client, "version", "1.0.0") && add_text(client, "platform", PLATFORM) &&
	       add_text(client, "mode", CLIENT_MODE);
}

static bool add_device(cJSON *params, const struct device *d, const struct frame_challenge *c,
                       const char *signature)
{
	cJSON *device = cJSON_AddObjectToObject(params, "device");

	return add_text(device, "id", d->id) && add_text(device, "publicKey", d->public_key) &&
	       add_text(device, "signature", signature) &&
	       add_number(device, "signedAt", c->at_ms) && add_text(device, "nonce", c->nonce);
}

int frame_connect(const struct device *d, const struct frame_challenge *c, const char *token,
                  char **ret, struct err *e)
{
	struct arena a __attribute__((cleanup(own_arena)));
	OWN(json) cJSON *req = cJSON_CreateObject();
	char signature[DEVICE_TEXT_SIZE];
	char *signed_text;
	cJSON *params, *auth;

	arena_init(&a, ARENA_LIMIT);
	signed_text = arena_printf(&a,
	                           "v3|%s|" CLIENT_ID "|" CLIENT_MODE "|" ROLE "|" SCOPES
	                           "|%lld|%s|%s|" PLATFORM "|",
	                           d->id, c->at_ms, token, c->nonce);
	if (!signed_text || !add_request(req, "connect", "connect"))
		return err_set(e, ERR_INTERNAL, "out of memory");
	device_sign(d, signed_text, signature);
	params = cJSON_AddObjectToObject(req, "params");
	auth = cJSON_AddObjectToObject(params, "auth");
	*ret = NULL;
	if (add_client(params) && add_text(auth, "token", token) &&
	    add_device(params, d, c, signature))
		*ret = cJSON_PrintUnformatted(req);
	vault_wipe(auth && auth->child ? auth->child->valuestring : NULL);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

int frame_request(const char *id, const char *method, const cJSON *params, char **ret,
                  struct err *e)
{
	OWN(json) cJSON *req = cJSON_CreateObject();

	*ret = NULL;
	if (add_request(req, id, method) &&
	    cJSON_AddItemReferenceToObject(req, "params", (cJSON *)params))
		*ret = cJSON_PrintUnformatted(req);
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}
