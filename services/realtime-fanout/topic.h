#ifndef TOPIC_H
#define TOPIC_H

#include "base/err.h"
#include "base/uuid.h"

/*
 * What sockets listen to, and which events belong to it. An event's subject is
 * "zaki.evt.<kind>.<id>.<what>"; each kind that sockets may see belongs to one topic,
 * "<topic>.<id>", under the event name "<kind>.<what>". Which are those is proto/topics.def. Pure.
 */
#define TOPIC_TEXT_SIZE  64
#define TOPIC_EVENT_SIZE 64

struct topic {
	char name[16];      /* "instance" */
	char id[UUID_SIZE]; /* of the assistant */
};

/* "instance.<uuid>". ERR_INVALID at "topic" when there is no such kind of topic. */
int topic_parse(const char *text, struct topic *ret, struct err *e);
void topic_text(const struct topic *t, char ret[TOPIC_TEXT_SIZE]);

/* The topic and the event's name of a subject; false: not for sockets. */
bool topic_of_subject(const char *subject, struct topic *ret, char ret_event[TOPIC_EVENT_SIZE]);

/* After this event there is nothing more to be said about the assistant: it goes to all topics of its
 * id, and whoever listens to one is to be told that it is over. */
bool topic_is_over(const char *event);

/* Its subject. */
#define TOPIC_SUBJECT_SIZE 80
void topic_over_subject(const struct topic *t, char ret[TOPIC_SUBJECT_SIZE]);

/* Whether an event of topic from is heard at topic t. */
bool topic_hears(const struct topic *t, const struct topic *from, const char *event);

bool topic_equals(const struct topic *a, const struct topic *b);

/* The names that there are; NULL past the last. */
const char *topic_name(size_t i);
#define TOPIC_NAMES_MAX 8

/* A subject filter that lets all events of the topic through, and some of the assistant's others:
 * what comes is still to be asked for by topic_of_subject(). */
#define TOPIC_FILTER_SIZE 80
void topic_filter(const struct topic *t, char ret[TOPIC_FILTER_SIZE]);

#endif
