/* child.h — processes that a scenario starts: programs of the system under test and roles of the bench itself.
 *
 * Every child dies with the bench (PR_SET_PDEATHSIG), writes its standard error to a file of the run's directory, and
 * is waited for with a deadline. A program is ready when it says so on NORIA_READY_FD (proc.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errcode.h"

#define CHILD_NAME_MAX 32

struct child {
    pid_t pid; /* 0: not started, or over */
    int ready_fd;
    int status;  /* of waitpid(), once over */
    bool killed; /* had to be killed */
    char name[CHILD_NAME_MAX];
};

struct child_program {
    const char *name; /* of its log file too */
    const char *log_dir;
    const char *const *argv; /* NULL at the end */
    int core;                /* -1: any */
    const int *listen_fds;   /* passed as LISTEN_FDS, all named `listen_name` */
    unsigned listen_count;
    const char *listen_name;
};

enum err_e child_exec(const struct child_program *program, struct child *child);
enum err_e child_wait_ready(struct child *child, uint32_t timeout_ms); /* ERR_TIMEOUT, ERR_CLOSED: it ended */

/* A role of the bench: runs body(arg) in a child process and ends with its result. */
typedef int child_body_f(void *arg);
enum err_e child_fork(const char *name, int core, child_body_f *body, void *arg, struct child *child);

bool child_alive(struct child *child);
/* Waits for the end; kills it when the time is over. True if it ended by itself with exit code 0. */
bool child_wait(struct child *child, uint32_t timeout_ms);
bool child_stop(struct child *child, uint32_t timeout_ms); /* SIGTERM, then child_wait() */
void child_kill(struct child *child);                      /* SIGKILL, and waits */
