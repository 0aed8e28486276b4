#ifndef WIRE_SUBJECT_H
#define WIRE_SUBJECT_H

#include "messages.h"

/* proto/subjects.def, seen from C: every subject that any service of ours answers or emits. */

enum subject_id {
#define SUBJECT(id, name, kind, in, out, timeout_ms) SUBJ_##id,
#include "subjects.def"
#undef SUBJECT
	SUBJ_COUNT
};

enum subject_kind {
	SUBJECT_CALL,  /* asks; safe to repeat */
	SUBJECT_ONCE,  /* creates or acts: honours an Idempotency-Key */
	SUBJECT_EVENT, /* has happened; * in its name stands for the id of what it happened to */
};

struct subject {
	const char *name;
	enum subject_kind kind;
	const struct wire_msg *in, *out;
	int timeout_ms; /* how long a caller waits; 0 for an event */
};

extern const struct subject subjects[SUBJ_COUNT];

#endif
