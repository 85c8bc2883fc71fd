/* launch_process.h — one running process of a member (member.h): what was handed to it, what it says, how it was told to end.
 * Private to deploy/noria.
 *
 *     NEXT ──ready──► NOW ──drain──► LEAVING ──► reaped      a worker's successor takes its place when it is ready
 *                      └──SIGTERM──────────────► reaped
 *
 * Every word to end is followed by a stronger one, so that each process that was told to go is gone in bounded time:
 *     DRAIN ──window + FAMILY_LEAVE_NS──► SIGTERM ──stop_ns──► SIGKILL
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control.h"
#include "errcode.h"
#include "launch_child.h"
#include "loop.h"

struct member;

enum process_role_e { PROCESS_NOW, PROCESS_NEXT, PROCESS_LEAVING };
enum process_told_e { TOLD_NOTHING, TOLD_DRAIN, TOLD_TERM, TOLD_KILL };

struct process {
    struct process *older; /* of the same member */
    struct member *member;
    enum process_role_e role;
    enum process_told_e told;
    pid_t pid;
    uint64_t start; /* family_view.start */
    uint64_t started_ns, started_wall_ms;
    bool ready;
    bool not_ready_in_time; /* killed because of that */
    bool overdue;           /* LEAVING beyond its time: nobody waits for it */
    int ready_fd, control_fd, blackbox_fd;
    struct loop_fd *ready_watch, *control_watch;
    struct loop_timer *timer;
    char heard[8]; /* of "READY\n" */
    size_t heard_len;
};

/* Starts `child`, which gets a control socket and a black box unless it is a handler. NULL: it could not be started (logged). */
struct process *process_start(struct member *member, struct child *child, uint64_t start);
/* Reaped, or left to itself. */
void process_free(struct process **process);

/* The next stronger word, if it is stronger than what it was told, and the time until the one behind it. */
void process_drain(struct process *process, uint64_t window_ns);
void process_await_drained(struct process *process, uint64_t window_ns); /* it says that it drains */
void process_terminate(struct process *process);
void process_kill(struct process *process);

/* ERR_CLOSED: it takes no packets any more; ERR_FULL. */
enum err_e process_send(struct process *process, const struct control_message *message);
