/* member.h — one name of a family (family.h) and its processes: its life from start to start. Private to deploy/noria.
 *
 * State is that of its process NOW; a successor (NEXT) and those that drain (LEAVING) do not show in it. Whether an end was planned is
 * told by what the process was told (launch_process.h): one that was told to go and went, by code 0 or by the signal that told it, is no death.
 */
#pragma once

#include "family.h"
#include "launch_process.h"
#include "launch_segments.h"
#include "restart.h"

struct member {
    struct family_member what; /* its texts are `texts` */
    char *texts;
    struct family *family;
    enum member_state_e state;
    struct process *processes; /* newest first */
    struct loop_timer *timer;  /* RESTING: until the next start */
    struct restart restart;
    bool failed_once;
    bool missing;      /* a handler's program was not found, which was told */
    bool doomed;       /* to be forgotten when no process is left */
    bool end_expected; /* family_expect_end() */
    bool start_again;  /* STOPPING: its end is followed by a start */
    uint64_t
        absent_since_ns; /* a worker: since when nobody accepts for it; 0: somebody does, or it waits for its stage */
    uint64_t adopter; /* start number of the process that accepts for it; 0: none */
    struct member_record record;
    struct member_segment *segment; /* NULL: none */
};

struct member *member_new(struct family *family, const struct family_member *what); /* NULL: out of memory */
void member_free(struct member **member);

struct process *member_process(const struct member *member, enum process_role_e role); /* NULL: none */
struct process *member_find_pid(const struct member *member, pid_t pid);
struct family_view member_view(const struct member *member);

void member_start(struct member *member); /* it has no process NOW */
/* One of its processes was reaped with `status` (waitpid). */
void member_reaped(struct member *member, struct process *process, int status);
/* The family stops, or it is doomed: no more starts; SIGTERM to whatever runs. */
void member_retire(struct member *member);
void member_kill(struct member *member);
void member_abandon(struct member *member); /* processes that SIGKILL does not end are left to themselves */

enum err_e member_replace(struct member *member); /* family_restart() */
enum err_e member_drain(struct member *member);   /* family_drain() */

/* For member.c and member_end.c. */
static inline uint64_t member_ms(uint64_t ns)
{
    return ns / NS_PER_MS;
}

void member_enter(struct member *member, enum member_state_e state);
void member_show(struct member *member);    /* its segment and its family: something changed */
void member_rest(struct member *member);    /* for restart.delay_ns */
bool member_promote(struct member *member); /* its successor, if there is one, is its process from now on */

/* Told by its processes. */
void member_process_ready(struct process *process);
void member_process_late(struct process *process); /* not ready in time */
void member_process_says(struct process *process, const struct control_message *message);

/* Asked and told by members (family.c). */
struct loop *family_loop(struct family *family);
const struct family_options *family_options(const struct family *family);
struct family_tally *family_counts(struct family *family);
uint64_t family_next_start(struct family *family);
bool family_stopping(const struct family *family);
void family_changed(struct family *family); /* a member's state changed */
void family_heard(struct family *family, const struct member *member, const struct control_message *message);
