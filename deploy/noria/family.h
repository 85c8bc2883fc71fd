/* family.h — the processes of one installation: started in order, watched, restarted, stopped in order.
 *
 *     order of start:  SIM → BROKER → STORE → AGENT → HANDLER → WORKER     order of stop: the other way round
 *
 *               start            READY\n           dies
 *     WAITING ────────► STARTING ───────► READY ─────────► RESTING ──delay──► STARTING
 *                          │ dies, or not ready in time ──────▲
 *                          └ or READY: exit code PROC_EXIT_PERMANENT ──► GONE
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
 * One thread, on a loop with an injected clock. The family takes SIGCHLD of the process, and reaps also children that are
 * not its own (the launcher may be process 1 of a container).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "launch_child.h"
#include "clock.h"
#include "errcode.h"
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

#define FAMILY_NAME_MAX 80
#define FAMILY_ARGS_MAX 33 /* with the NULL behind the last */

struct family_member { /* copied, except for the texts and the sockets, which outlive the family */
    enum family_stage_e stage;
    char name[FAMILY_NAME_MAX]; /* "broker", "store", "agent.NAME", "handler.NAME.0", "worker.0" */
    const char *argv[FAMILY_ARGS_MAX];
    struct child_sockets sockets;
    const char
        *handler; /* FAMILY_HANDLER: the handler's name; argv[0] may then be looked up in PATH. Else NULL */
    const char *directory; /* of a handler: where it works */
    uint64_t ready_ns;     /* instead of the family's; 0: that one */
};

struct family_options {
    int lock_fd;                 /* inherited by every child; -1: none */
    uint64_t ready_ns;           /* a process that is not ready by then is killed, which counts as a death */
    uint64_t stop_ns;            /* from family_stop() to SIGKILL for whatever is left */
    void (*on_ready)(void *arg); /* once: every process is ready, or gone for good */
    void (*on_stopped)(void *arg, int exit_code); /* no process is left; the family may be freed here */
    void *arg;
    const char *path; /* PATH, for handlers; outlives the family. NULL: the system's default */
};

struct family_tally {
    uint64_t starts, deaths, not_ready, killed;
};

struct family;

struct family *family_new(struct loop *loop,
                          const struct family_options *options); /* NULL: out of memory, descriptors */
enum err_e family_add(struct family *family, const struct family_member *member); /* before family_start() */
void family_start(struct family *family);
void family_stop(
    struct family *family); /* in order and bounded; on_stopped follows, never from within this call */
void family_kill(struct family *family);  /* SIGKILL to all, now */
void family_free(struct family **family); /* no process is left */

struct family_tally family_tally(const struct family *family);
/* The pid of a member, or 0: none runs. For tests and diagnosis. */
pid_t family_pid(const struct family *family, const char *name);
bool family_is_ready(const struct family *family, const char *name);
