/* family_inside.h — a family as its own files see it (family.c, family_members.c, launch_handover.c). */
#pragma once

#include "family.h"
#include "launch_handover.h"
#include "member.h"

enum phase_e { PHASE_NEW, PHASE_STARTING, PHASE_RUNNING, PHASE_STOPPING, PHASE_STOPPED };

struct family {
    struct loop *loop;
    struct family_options options;
    struct loop_signal *on_child;
    struct loop_timer *timer; /* STOPPING: end of the stage's share */
    enum phase_e phase;
    int stage;     /* STARTING: the last that was begun; STOPPING: the one that is waited for */
    bool reacting; /* a look at all members is deferred already */
    bool ready_told;
    uint64_t stop_began_ns;
    int exit_code;
    struct family_tally tally;
    uint64_t starts; /* numbers given to processes */
    struct handover handover;
    struct family_listener *listeners, *next_listener; /* next_listener: while they are told */
    struct member **members;                           /* pointers move with family_add(), members do not */
    size_t count, doomed;                              /* these stand at the end */
};

/* Members may come meanwhile; they go only in family_forget_doomed(). */
#define FOR_MEMBERS(m, family)                                                                               \
    for (size_t m##_at = 0; m##_at < (family)->count; m##_at++)                                              \
        for (struct member *m = (family)->members[m##_at]; m != NULL; m = NULL)

void family_forget_doomed(struct family *family); /* those without a process */
void family_tell_changed(struct family *family);
