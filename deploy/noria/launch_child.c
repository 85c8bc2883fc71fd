/* launch_child.c — fork, descriptors in place, exec (launch_child.h).
 *
 * fork() and not posix_spawn(): parent death, process group, LISTEN_PID and the order of descriptors need code between.
 * All signals are blocked across the fork, so that no handler of the launcher's loop ever runs in the child.
 */
#include "launch_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"
#include "proc.h"

#define FIRST_FD 3

static void set_number(const char *name, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

static void default_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGPIPE};
    sigset_t none;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Copies `fds` to `first`, first + 1, …, first out of the way of each other. -1 stays away. */
static bool place_fds(int *fds, size_t count, int first)
{
    int free_from = first + (int)count;
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0 && (fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, free_from)) < 0)
            return false;
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0 && dup2(fds[i], first + (int)i) < 0)
            return false;
    return true;
}

static bool place_all(const struct child_sockets *sockets, int ready_fd, int lock_fd)
{
    int fds[PROC_LISTEN_MAX + 2];
    size_t count = sockets->count;
    for (size_t i = 0; i < count; i++)
        fds[i] = sockets->fds[i];
    fds[count] = ready_fd;
    fds[count + 1] = lock_fd;
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return null_fd >= 0 && dup2(null_fd, STDIN_FILENO) == STDIN_FILENO && place_fds(fds, count + 2, FIRST_FD);
}

static void set_environment(const struct child_sockets *sockets, pid_t launcher)
{
    unsetenv("NORIA_ORPHAN");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    set_number("NORIA_LAUNCHER_PID", launcher);
    set_number("NORIA_READY_FD", FIRST_FD + (long)sockets->count);
    if (sockets->count == 0)
        return;
    set_number("LISTEN_FDS", (long)sockets->count);
    set_number("LISTEN_PID", getpid());
    setenv("LISTEN_FDNAMES", sockets->names, 1);
}

__attribute__((noreturn)) static void become(const char *const *argv, const struct child_sockets *sockets,
                                             int ready_fd, int lock_fd, pid_t launcher)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    default_signals();
    if (getppid() != launcher)
        _exit(PROC_EXIT_FAILURE);
    if (place_all(sockets, ready_fd, lock_fd)) {
        set_environment(sockets, launcher);
        execv(argv[0], (char *const *)argv);
    }
    int error = errno;
    log_error("exec-failed", "program=%s error=\"%s\"", argv[0], strerror(error));
    _exit(error == ENOENT || error == EACCES || error == ENOEXEC ? PROC_EXIT_PERMANENT : PROC_EXIT_FAILURE);
}

enum err_e child_start(const char *const *argv, const struct child_sockets *sockets, int lock_fd, pid_t *pid,
                       int *ready_fd)
{
    int ready[2];
    sigset_t all, before;
    pid_t launcher = getpid();
    if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) != 0) {
        log_error("start-failed", "program=%s error=\"%s\"", argv[0], strerror(errno));
        return ERR_SYSTEM;
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    if (*pid == 0)
        become(argv, sockets, ready[1], lock_fd, launcher);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ready[1]);
    *ready_fd = ready[0];
    if (*pid > 0) {
        setpgid(*pid, *pid); /* the child does so too: whoever comes first */
        return ERR_OK;
    }
    close(ready[0]);
    log_error("start-failed", "program=%s error=\"%s\"", argv[0], strerror(error));
    return ERR_SYSTEM;
}
