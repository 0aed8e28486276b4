#ifndef DECIDE_PARTS_H
#define DECIDE_PARTS_H

#include "decide.h"

/* The words that decisions are made of: decide.c says which case it is, decide_up.c what follows for
 * an instance that is to be up. Each changes what is decided so far. */

bool decide_is_up(enum engine_status s); /* it runs, or will by itself */

/* The status, its cause and its reason for people; fmt NULL: none. */
void decide_become(struct decision *d, enum instance_status status, enum instance_cause cause,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same, for what someone else's hand has changed. text is constant. */
void decide_drifted(struct decision *d, enum drift drift, enum instance_status status,
                    const char *text);

void decide_act(struct decision *d, enum action action, enum place place);
void decide_wait(struct decision *d, long long delay_ms);

/* Given up on until a person asks again: what runs of it is stopped. The reason is the caller's. */
void decide_give_up(struct decision *d, bool is_running);

/* It failed and is to be restarted after retry_at_ms. False: that was once too often, and it is
 * given up. why: "it ran out of memory". */
bool decide_may_restart(struct decision *d, long long now_ms, const char *why, bool is_running);

/* There is nothing that runs: whatever restart was asked for is had by the start that follows. */
void decide_at_rest(struct decision *d, long long finished_ms);

void decide_up(struct decision *d, const struct sight *s);

/* As the row wants it, whatever else is under way. */
void decide_as_wanted(struct decision *d, const struct sight *s);

/* What a container of ours is seen as: one that has its name and is not ours is none. */
struct sight decide_ours(const struct sight *s);

/* decide_upgrade.c: on the way to another image. */
void decide_upgrade(struct decision *d, const struct sight *s);
/* An action failed there. False: what follows is as with any other. */
bool decide_upgrade_failed(struct decision *d, enum failure failure, enum action failed,
                           const char *text);

#endif
