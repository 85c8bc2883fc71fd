/* launch_child.h — starts one process of the family.
 *
 * What a child receives, and nothing else: standard input from /dev/null, the launcher's output and error, its listening
 * sockets from descriptor 3 on (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES), a pipe to say that it is ready (NORIA_READY_FD),
 * a descriptor whose lock tells the next launcher that it is still there (rundir.h), its end of the control socket (NORIA_CONTROL_FD,
 * control.h), a black box (NORIA_BLACKBOX_FD, blackbox.h), and the name of the configuration in force (NORIA_CONF_COPY, conf.h). It leads a process group of its
 * own, so that a terminal's Ctrl-C reaches the launcher alone, and gets SIGTERM if the launcher dies (proc.h).
 *
 * A handler is a program of the user's, and not trusted to be patient or to end when it is told to. It gets its socket (that
 * alone, blocking, as a program expects that knows nothing of it), NORIA_HANDLER, and the configuration's directory to work
 * in; no pipe and no control socket, because nobody waits for it; no lock, because one that does not end must not keep the next launcher away.
 * It runs at CHILD_HANDLER_NICE: the kernel weighs nice 5 as 335 and nice 0 as 1024, so that a handler that spins leaves a worker
 * on the same core three quarters of it instead of half (two spinning processes on one core for 4 s: 1.39 s of CPU to 0.46 s;
 * both at nice 0: 1.19 to 1.20), and one that has something to do on an idle core loses nothing. Rejected: 19 (weight
 * 15), at which a busy worker starves it beyond its deadlines; 0, at which workers' latency is at the mercy of somebody else's program.
 * It asks for turns of CHILD_HANDLER_TURN_NS, because handlers compete with each other, too: while one spins, another's p99 is 1.5 times that of quiet
 * instead of 1.9 (Linux 6.18, two cores, tests/bench isolation); SCHED_IDLE for all of them: 7 times.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "errcode.h"

#define CHILD_HANDLER_NICE    5       /* more than the launcher's own */
#define CHILD_HANDLER_TURN_NS 100000u /* the least that the kernel takes */

struct child_sockets {
    const int *fds;
    const char *names; /* "a:b:c", as many as fds */
    size_t count;
};

struct child {
    const char *program;     /* path */
    const char *const *argv; /* NULL behind the last */
    struct child_sockets sockets;
    const char *handler;   /* the name of a handler, whose process it is; NULL: one of Noria's */
    const char *directory; /* of a handler: where it works */
    /* not for a handler: */
    int control_fd, blackbox_fd; /* the caller's to close; -1: none */
    const char *conf_copy;       /* NULL: none */
};

/* `lock_fd` may be -1. On ERR_OK, *pid runs and *ready_fd, non-blocking and the caller's to close, will read "READY\n"; -1
 * for a handler. A program that cannot be executed ends at once (logged): one of Noria's with PROC_EXIT_PERMANENT, a handler
 * with PROC_EXIT_FAILURE, because its user may be building it. ERR_SYSTEM (logged). */
enum err_e child_start(const struct child *child, int lock_fd, pid_t *pid, int *ready_fd);
