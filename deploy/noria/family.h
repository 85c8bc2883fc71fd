/* family.h — the processes of one installation: started in order, watched, restarted, replaced, stopped in order.
 *
 *     order of start:  SIM → BROKER → STORE → AGENT → HANDLER → WORKER     order of stop: the other way round
 *
 *               start            READY\n           dies
 *     WAITING ────────► STARTING ───────► READY ─────────► RESTING ──delay──► STARTING
 *                          │ dies, or not ready in time ──────▲
 *                          └ or READY: exit code PROC_EXIT_PERMANENT ──► GONE ──family_restart()──► STARTING
 *
 * A stage begins when every process of the stage before is ready, or has failed once: one broken agent keeps no client
 * away. Only the broker is waited for in any case. Nothing is ever restarted because another process died. If the broker, or
 * the last worker, is gone for good, nothing is left to serve and the family stops with PROC_EXIT_PERMANENT.
 *
 * The store is started after the broker and stopped before it, behind everybody who asks it; no stage waits for it, because a large database
 * takes its time to be checked, and until then only what is asked of it is answered 503. Gone for good, it stops nothing.
 *
 * A handler's process is a program of the user's: it counts as ready when it is started, is never waited for, and nothing
 * stops because of it. One whose program is not there is looked for again after each pause, and told once.
 *
 * An end that was planned (family_restart(), family_drain(), family_remove(), family_stop(), or a worker that says itself that it drains)
 * is no death and waits for nothing. A member is one name and has mostly one process; a worker may have two, and more while old ones drain:
 *
 *     family_restart(worker)   NEXT is started ─► is ready ─► NEXT becomes the process, the old one drains. If NEXT fails, the old one stays
 *     family_drain(worker)     the process drains, the next one is started at once, with the same sockets
 *     family_restart(other)    SIGTERM ─► it ends ─► started at once
 *
 * A worker that is away and not ready again within FAMILY_ABSENT_NS has its listening sockets adopted by a ready one (launch_handover.h).
 *
 * One thread, on a loop with an injected clock. The family takes SIGCHLD of the process, and reaps also children that are
 * not its own (the launcher may be process 1 of a container). All functions but family_free() may be called from callbacks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "clock.h"
#include "control.h"
#include "errcode.h"
#include "launch_child.h"
#include "loop.h"

enum family_stage_e {
    FAMILY_SIM,
    FAMILY_BROKER,
    FAMILY_STORE,
    FAMILY_AGENT,
    FAMILY_HANDLER,
    FAMILY_WORKER,
    FAMILY_STAGES
};

/* X(NAME, "name"). The numbers stand in shm/process.NAME, so new ones go to the end. */
#define MEMBER_STATES(X)                                                                                     \
    X(WAITING, "waiting")   /* for its stage */                                                              \
    X(STARTING, "starting") /* runs, and has not said READY */                                               \
    X(READY, "ready")                                                                                        \
    X(RESTING, "resting")   /* died, and waits for its next start */                                         \
    X(GONE, "gone")         /* for good */                                                                   \
    X(STOPPING, "stopping") /* told to end, by plan */

enum member_state_e {
#define X(NAME, name) MEMBER_##NAME,
    MEMBER_STATES(X)
#undef X
        MEMBER_STATE_COUNT
};
const char *member_state_name(enum member_state_e state); /* "waiting"; "?" for none */

#define FAMILY_NAME_MAX  80
#define FAMILY_ARGS_MAX  33 /* with the NULL behind the last */
#define FAMILY_ABSENT_NS (2 * NS_PER_S)
#define FAMILY_LEAVE_NS  (5 * NS_PER_S) /* beyond its window: a worker that drains is told SIGTERM then */

struct family_member { /* copied; the descriptors in `sockets` stay the caller's and outlive the member */
    enum family_stage_e stage;
    char name[FAMILY_NAME_MAX]; /* "broker", "store", "agent.NAME", "handler.NAME.0", "worker.0" */
    const char *argv[FAMILY_ARGS_MAX];
    struct child_sockets sockets;
    const char
        *handler; /* FAMILY_HANDLER: the handler's name; argv[0] may then be looked up in PATH. Else NULL */
    const char *directory; /* of a handler: where it works */
    uint64_t ready_ns;     /* instead of the family's; 0: that one */
};

/* A member at one moment. `start` tells its process from every other that this family ever started; 0: none runs. A pid does not. */
struct family_view {
    const char *name; /* the member's, as long as it is there */
    enum family_stage_e stage;
    enum member_state_e state;
    pid_t pid; /* 0: none */
    uint64_t start;
    bool
        replacing; /* a restart or a drain that was asked for is not over: a successor or an end is awaited */
    unsigned leaving; /* processes that drain, those that are overdue not counted */
};

/* A process that ended without having been told to, or not as it was told to. */
struct family_death {
    struct family_view member;
    pid_t pid;
    int status;                                  /* of waitpid(2) */
    uint64_t uptime_ms, started_wall_ms, deaths; /* of the member, this one included */
    const char *told;                            /* "nothing", "to drain", "SIGTERM", … */
    const char *next;                            /* what follows, in words: "it is started again", … */
    int blackbox;                                /* blackbox.h; -1: none */
};

struct family_options {
    int lock_fd;           /* inherited by every child; -1: none */
    uint64_t ready_ns;     /* a process that is not ready by then is killed, which counts as a death */
    uint64_t stop_ns;      /* from family_stop() to SIGKILL for whatever is left; also for one planned end */
    uint64_t drain_ns;     /* a worker's window; family_set_drain() */
    const char *conf_copy; /* NORIA_CONF_COPY of all but handlers (conf.h); outlives the family. NULL: none */
    const char *segments; /* directory of process.NAME (launch_segments.h); outlives the family. NULL: none */
    void (*on_ready)(void *arg);                  /* once: every process is ready, or gone for good */
    void (*on_stopped)(void *arg, int exit_code); /* no process is left; the family may be freed here */
    void (*on_death)(
        void *arg,
        const struct family_death *death); /* before anything follows from it. NULL: not asked for */
    void *arg;
    const char *path; /* PATH, for handlers; outlives the family. NULL: the system's default */
};

struct family_tally {
    uint64_t starts, deaths, not_ready, killed, planned_ends, permanent, adoptions;
};

struct family;

struct family *family_new(struct loop *loop,
                          const struct family_options *options); /* NULL: out of memory, descriptors */
/* Before family_start(), or later: it is then started at once if its stage has begun. A member of this name that is being removed is waited
 * for. ERR_EXISTS: there is one; ERR_CLOSED: the family stops; ERR_MEMORY. */
enum err_e family_add(struct family *family, const struct family_member *member);
void family_start(struct family *family);
void family_stop(
    struct family *family); /* in order and bounded; on_stopped follows, never from within this call */
void family_kill(struct family *family);  /* SIGKILL to all, now */
void family_free(struct family **family); /* no process is left */

/* From now on it may end by itself, with 0 or PROC_EXIT_PERMANENT: that is by plan, and it is not started again (an agent whose machine the
 * broker knows no more). family_restart() undoes it. ERR_NOT_FOUND. */
enum err_e family_expect_end(struct family *family, const char *name);
/* Ends the member by plan and forgets it, with its segment. From now on its name is free. ERR_NOT_FOUND. */
enum err_e family_remove(struct family *family, const char *name);
/* See above. Who rests or is gone for good is started at once; who waits for its stage is left waiting. ERR_NOT_FOUND; ERR_BUSY: a restart of it
 * is under way; ERR_CLOSED: the family stops. */
enum err_e family_restart(struct family *family, const char *name);
/* A worker that is ready. ERR_NOT_FOUND: no worker of that name; ERR_BUSY: it is not ready, or a restart is under way; ERR_CLOSED. */
enum err_e family_drain(struct family *family, const char *name);
void family_set_drain(struct family *family, uint64_t drain_ns); /* of drains from now on */

/* To the member's process (of a worker: not to those that drain). ERR_NOT_FOUND: no such member; ERR_CLOSED: it has no process, or that
 * takes no packets any more; ERR_FULL: it does not read. */
enum err_e family_send(struct family *family, const char *name, const struct control_message *message);

/* Who wants to hear. `message`: what a member's process says, except DRAINING (a successor not yet in place: not told). `changed`: after
 * whatever changed a state, a process or the number of members, once per turn of the loop. Either may be NULL. The struct stays the caller's until
 * family_unlisten(), which may be called from within. */
struct family_listener {
    void (*message)(void *arg, const struct family_view *from, const struct control_message *message);
    void (*changed)(void *arg);
    void *arg;
    struct family_listener *next; /* the family's */
};
void family_listen(struct family *family, struct family_listener *listener);
void family_unlisten(struct family *family, struct family_listener *listener);

/* Members in the order of family_add(), without those that are being removed. False: past the end (family_count()); no such name. */
size_t family_count(const struct family *family);
bool family_at(const struct family *family, size_t index, struct family_view *view);
bool family_find(const struct family *family, const char *name, struct family_view *view);

struct family_tally family_tally(const struct family *family);
/* The pid of a member, or 0: none runs. For tests and diagnosis. */
pid_t family_pid(const struct family *family, const char *name);
bool family_is_ready(const struct family *family, const char *name);
bool family_stops(const struct family *family);
