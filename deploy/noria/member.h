/* member.h — one process of a family (family.h): its life from start to start. Private to deploy/noria. */
#pragma once

#include "family.h"
#include "restart.h"

enum member_state_e { MEMBER_WAITING, MEMBER_STARTING, MEMBER_READY, MEMBER_RESTING, MEMBER_GONE };

struct member {
    struct family_member what;
    struct family *family;
    enum member_state_e state;
    pid_t pid; /* 0: none */
    int ready_fd;
    struct loop_fd *ready_watch;
    struct loop_timer *timer; /* STARTING: until it must be ready; RESTING: until the next start */
    struct restart restart;
    uint64_t started_ns;
    bool failed_once;
    bool missing;  /* a handler's program was not found, which was told */
    bool overdue;  /* killed because it was not ready in time */
    char heard[8]; /* of "READY\n" */
    size_t heard_len;
};

struct member *member_new(struct family *family, const struct family_member *what); /* NULL: out of memory */
void member_free(struct member **member);

void member_start(struct member *member);
/* It was reaped with `status` (waitpid). Restarts it after its delay, unless the family stops. */
void member_died(struct member *member, int status);
/* The family stops: no more restarts; SIGTERM if it runs. */
void member_retire(struct member *member);
void member_kill(struct member *member);

/* Asked and told by members (family.c). */
struct loop *family_loop(struct family *family);
const struct family_options *family_options(const struct family *family);
struct family_tally *family_counts(struct family *family);
bool family_stopping(const struct family *family);
void family_changed(struct family *family); /* a member's state changed */
