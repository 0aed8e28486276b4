#include "stream.h"

#define AGE_NS       (24LL * 3600 * 1000000000)
#define DUPLICATE_NS (120LL * 1000000000)
#define BYTES_MAX    (1LL << 30)

int stream_check(natsStatus s, jsErrCode code, const char *what, struct err *e)
{
	switch (s) {
	case NATS_OK:
		return 0;
	case NATS_NOT_FOUND:
		return err_set(e, ERR_NOT_FOUND, "%s: not found", what);
	case NATS_TIMEOUT:
	case NATS_NO_RESPONDERS:
	case NATS_NO_SERVER:
	case NATS_CONNECTION_CLOSED:
	case NATS_CONNECTION_DISCONNECTED:
	case NATS_INVALID_SUBSCRIPTION:
		return err_set(e, ERR_UNAVAILABLE, "%s: %s", what, natsStatus_GetText(s));
	default:
		return err_set(e, ERR_INTERNAL, "%s: nats: %s (JetStream %d)", what,
		               natsStatus_GetText(s), (int)code);
	}
}

static void fill(jsStreamConfig *cfg, const char **names)
{
	names[0] = STREAM_SUBJECTS;
	jsStreamConfig_Init(cfg);
	cfg->Name = STREAM_NAME;
	cfg->Subjects = names;
	cfg->SubjectsLen = 1;
	cfg->Storage = js_FileStorage;
	cfg->Retention = js_LimitsPolicy;
	cfg->Discard = js_DiscardOld;
	cfg->MaxAge = AGE_NS;
	cfg->MaxBytes = BYTES_MAX;
	cfg->Duplicates = DUPLICATE_NS;
}

static bool is_as_wanted(const jsStreamConfig *have, const jsStreamConfig *want)
{
	return have->MaxAge == want->MaxAge && have->MaxBytes == want->MaxBytes &&
	       have->Duplicates == want->Duplicates && have->Discard == want->Discard &&
	       have->SubjectsLen == 1 && strcmp(have->Subjects[0], want->Subjects[0]) == 0;
}

int stream_make(jsCtx *js, struct err *e)
{
	const char *names[1];
	jsStreamInfo *info = NULL;
	jsStreamConfig cfg;
	jsErrCode code = 0;
	natsStatus s;

	fill(&cfg, names);
	s = js_GetStreamInfo(&info, js, STREAM_NAME, NULL, &code);
	if (s == NATS_NOT_FOUND)
		s = js_AddStream(NULL, js, &cfg, NULL, &code);
	else if (s == NATS_OK && !is_as_wanted(info->Config, &cfg))
		s = js_UpdateStream(NULL, js, &cfg, NULL, &code);
	jsStreamInfo_Destroy(info);
	return stream_check(s, code, "making the stream", e);
}

int stream_state(jsCtx *js, struct stream_state *ret, struct err *e)
{
	jsStreamInfo *info = NULL;
	jsErrCode code = 0;
	natsStatus s = js_GetStreamInfo(&info, js, STREAM_NAME, NULL, &code);

	if (stream_check(s, code, "asking for the stream", e) < 0)
		return -1;
	position_id(info->Created, ret->id);
	ret->last_seq = info->State.LastSeq;
	ret->first_seq = info->State.Msgs ? info->State.FirstSeq : info->State.LastSeq + 1;
	jsStreamInfo_Destroy(info);
	return 0;
}
