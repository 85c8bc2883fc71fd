/* launch_child.c — fork, descriptors in place, exec (launch_child.h).
 *
 * fork() and not posix_spawn(): parent death, process group, LISTEN_PID and the order of descriptors need code between.
 * All signals are blocked across the fork, so that no handler of the launcher's loop ever runs in the child.
 */
#include "launch_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched/types.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"
#include "must.h"
#include "proc.h"

#define FIRST_FD    3
#define HANDED_DOWN 4 /* behind the sockets: ready, control, black box, lock */

static void set_number(const char *name, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

static void set_fd(const char *name, int fd, int placed)
{
    if (fd >= 0)
        set_number(name, placed);
}

static void default_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGPIPE, SIGUSR1, SIGUSR2};
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

static bool place_all(const struct child *child, int ready_fd, int lock_fd)
{
    int fds[PROC_LISTEN_MAX + HANDED_DOWN];
    size_t count = child->sockets.count;
    for (size_t i = 0; i < count; i++)
        fds[i] = child->sockets.fds[i];
    if (child->handler == NULL) {
        fds[count++] = ready_fd;
        fds[count++] = child->control_fd;
        fds[count++] = child->blackbox_fd;
        fds[count++] = lock_fd;
    }
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return null_fd >= 0 && dup2(null_fd, STDIN_FILENO) == STDIN_FILENO && place_fds(fds, count, FIRST_FD);
}

static void set_environment(const struct child *child, pid_t launcher)
{
    static const char *const never_passed_on[] = {
        "NORIA_ORPHAN", "NORIA_HANDLER", "NORIA_READY_FD", "NORIA_CONTROL_FD", "NORIA_BLACKBOX_FD",
        "NORIA_FRONT",  "LISTEN_FDS",    "LISTEN_PID",     "LISTEN_FDNAMES",   CONF_COPY_VARIABLE};
    int behind = FIRST_FD + (int)child->sockets.count;
    for (size_t i = 0; i < ARRAY_LEN(never_passed_on); i++)
        unsetenv(never_passed_on[i]);
    set_number("NORIA_LAUNCHER_PID", launcher);
    if (child->handler == NULL) {
        set_number("NORIA_READY_FD", behind);
        set_fd("NORIA_CONTROL_FD", child->control_fd, behind + 1);
        set_fd("NORIA_BLACKBOX_FD", child->blackbox_fd, behind + 2);
    } else {
        setenv("NORIA_HANDLER", child->handler, 1);
    }
    if (child->handler == NULL && child->conf_copy != NULL)
        setenv(CONF_COPY_VARIABLE, child->conf_copy, 1);
    if (child->sockets.count == 0)
        return;
    set_number("LISTEN_FDS", (long)child->sockets.count);
    set_number("LISTEN_PID", getpid());
    setenv("LISTEN_FDNAMES", child->sockets.names, 1);
}

/* Since Linux 6.12 an ordinary process may ask for shorter turns; before, sched_runtime is not looked at. */
static void ask_for_short_turns(void)
{
    struct sched_attr attr = {.size = sizeof attr};
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0)
        return;
    attr.sched_runtime = CHILD_HANDLER_TURN_NS;
    (void)syscall(SYS_sched_setattr, 0, &attr, 0); /* a wish */
}

/* The launcher holds the same sockets, so its predecessor may have left them as it liked them. */
static bool settle_handler(const struct child *child)
{
    close_range(FIRST_FD, UINT_MAX, CLOSE_RANGE_CLOEXEC); /* what the launcher itself was started with */
    for (size_t i = 0; i < child->sockets.count; i++) {
        int flags = fcntl(child->sockets.fds[i], F_GETFL);
        if (flags < 0 || fcntl(child->sockets.fds[i], F_SETFL, flags & ~O_NONBLOCK) != 0)
            return false;
    }
    errno = 0;
    if (nice(CHILD_HANDLER_NICE) == -1 && errno != 0)
        return false;
    ask_for_short_turns();
    return chdir(child->directory) == 0;
}

__attribute__((noreturn)) static void become(const struct child *child, int ready_fd, int lock_fd,
                                             pid_t launcher)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    default_signals();
    if (getppid() != launcher)
        _exit(PROC_EXIT_FAILURE);
    if ((child->handler == NULL || settle_handler(child)) && place_all(child, ready_fd, lock_fd)) {
        set_environment(child, launcher);
        execvp(child->program, (char *const *)child->argv); /* a path; a script may have no #! */
    }
    int error = errno;
    bool permanent = child->handler == NULL && (error == ENOENT || error == EACCES || error == ENOEXEC);
    log_error("exec-failed", "program=%s error=\"%s\"", child->program, strerror(error));
    _exit(permanent ? PROC_EXIT_PERMANENT : PROC_EXIT_FAILURE);
}

static enum err_e start_failed(const struct child *child, int error)
{
    log_error("start-failed", "program=%s error=\"%s\"", child->program, strerror(error));
    return ERR_SYSTEM;
}

static void close_end(int fd)
{
    if (fd >= 0)
        close(fd);
}

enum err_e child_start(const struct child *child, int lock_fd, pid_t *pid, int *ready_fd)
{
    int ready[2] = {-1, -1};
    sigset_t all, before;
    pid_t launcher = getpid();
    if (child->handler == NULL && pipe2(ready, O_CLOEXEC | O_NONBLOCK) != 0)
        return start_failed(child, errno);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    if (*pid == 0)
        become(child, ready[1], lock_fd, launcher);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close_end(ready[1]);
    *ready_fd = ready[0];
    if (*pid > 0) {
        setpgid(*pid, *pid); /* the child does so too: whoever comes first */
        return ERR_OK;
    }
    close_end(ready[0]);
    return start_failed(child, error);
}
