/* launch_child.h — starts one process of the family.
 *
 * What a child receives, and nothing else: standard input from /dev/null, the launcher's output and error, its listening
 * sockets from descriptor 3 on (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES), a pipe to say that it is ready (NORIA_READY_FD),
 * and a descriptor whose lock tells the next launcher that it is still there (rundir.h). It leads a process group of its
 * own, so that a terminal's Ctrl-C reaches the launcher alone, and gets SIGTERM if the launcher dies (proc.h).
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "errcode.h"

struct child_sockets {
    const int *fds;
    const char *names; /* "a:b:c", as many as fds */
    size_t count;
};

/* argv[0] is the program's path. `lock_fd` may be -1. On ERR_OK, *pid runs and *ready_fd, non-blocking and the caller's to
 * close, will read "READY\n". A program that cannot be executed ends at once with PROC_EXIT_PERMANENT (logged).
 * ERR_SYSTEM (logged). */
enum err_e child_start(const char *const *argv, const struct child_sockets *sockets, int lock_fd, pid_t *pid,
                       int *ready_fd);
