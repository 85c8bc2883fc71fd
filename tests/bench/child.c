/* child.c — see child.h. Waiting for an end polls waitpid() every millisecond: no signal handlers, no races. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define FIRST_LISTEN_FD 3
#define HIGH_FD         64 /* descriptors wait up here until they are moved to their numbers */

static void pin(int core)
{
    if (core < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        log_warn("bench-pin", "core=%d: %s", core, strerror(errno));
}

static void set_number(const char *name, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

/* In the child: descriptors 3… are the listening sockets, the next one is for READY. */
static void arrange_descriptors(const struct child_program *program, int ready_fd, int log_fd)
{
    int high[64];
    unsigned count = program->listen_count < 63 ? program->listen_count : 63;
    for (unsigned i = 0; i < count; i++)
        high[i] = fcntl(program->listen_fds[i], F_DUPFD, HIGH_FD);
    high[count] = fcntl(ready_fd, F_DUPFD, HIGH_FD);
    dup2(log_fd, STDERR_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    for (unsigned i = 0; i <= count; i++)
        dup2(high[i], FIRST_LISTEN_FD + (int)i);
    close_range(FIRST_LISTEN_FD + count + 1, ~0u, 0);
    set_number("NORIA_READY_FD", FIRST_LISTEN_FD + (long)count);
    if (count == 0)
        return;
    char names[1024] = "";
    for (unsigned i = 0; i < count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i > 0 ? ":" : "",
                 program->listen_name);
    set_number("LISTEN_FDS", count);
    set_number("LISTEN_PID", getpid());
    setenv("LISTEN_FDNAMES", names, 1);
}

static _Noreturn void become(const struct child_program *program, pid_t parent, int ready_fd, int log_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(program->core);
    arrange_descriptors(program, ready_fd, log_fd);
    set_number("NORIA_LAUNCHER_PID", parent);
    execv(program->argv[0], (char *const *)(uintptr_t)program->argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", program->argv[0], strerror(errno));
    _exit(127);
}

static int open_log(const struct child_program *program)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s.log", program->log_dir, program->name);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

enum err_e child_exec(const struct child_program *program, struct child *child)
{
    int ready[2], log_fd = open_log(program);
    pid_t parent = getpid();
    *child = (struct child){.ready_fd = -1};
    snprintf(child->name, sizeof child->name, "%s", program->name);
    if (log_fd < 0 || pipe2(ready, O_CLOEXEC) != 0) {
        if (log_fd >= 0)
            close(log_fd);
        return ERR_SYSTEM;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(program, parent, ready[1], log_fd);
    close(ready[1]);
    close(log_fd);
    if (pid < 0) {
        close(ready[0]);
        return ERR_SYSTEM;
    }
    child->pid = pid;
    child->ready_fd = ready[0];
    return ERR_OK;
}

enum err_e child_wait_ready(struct child *child, uint32_t timeout_ms)
{
    struct pollfd fd = {.fd = child->ready_fd, .events = POLLIN};
    char word[8];
    enum err_e err = ERR_TIMEOUT;
    if (poll(&fd, 1, (int)timeout_ms) == 1)
        err = read(child->ready_fd, word, sizeof word) > 0 ? ERR_OK : ERR_CLOSED;
    close(child->ready_fd);
    child->ready_fd = -1;
    if (err != ERR_OK)
        log_error("bench-not-ready", "process=%s: %s", child->name, err_text(err));
    return err;
}

enum err_e child_fork(const char *name, int core, child_body_f *body, void *arg, struct child *child)
{
    *child = (struct child){.ready_fd = -1};
    snprintf(child->name, sizeof child->name, "%s", name);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, name);
        pin(core);
        _exit(body(arg));
    }
    child->pid = pid > 0 ? pid : 0;
    return pid > 0 ? ERR_OK : ERR_SYSTEM;
}

/* --- the end ---------------------------------------------------------------------------------------------------------- */

static void over(struct child *child, int status)
{
    child->pid = 0;
    child->status = status;
    if (child->ready_fd >= 0)
        close(child->ready_fd);
    child->ready_fd = -1;
}

bool child_alive(struct child *child)
{
    int status;
    if (child->pid != 0 && waitpid(child->pid, &status, WNOHANG) == child->pid)
        over(child, status);
    return child->pid != 0;
}

void child_kill(struct child *child)
{
    int status;
    if (!child_alive(child))
        return;
    kill(child->pid, SIGKILL);
    waitpid(child->pid, &status, 0);
    over(child, status);
    child->killed = true;
}

bool child_wait(struct child *child, uint32_t timeout_ms)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + timeout_ms * NS_PER_MS;
    while (child_alive(child)) {
        if (clock_mono_ns(clock_system()) >= deadline) {
            log_error("bench-killed", "process=%s: did not end within %u ms", child->name, timeout_ms);
            child_kill(child);
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
}

bool child_stop(struct child *child, uint32_t timeout_ms)
{
    if (child_alive(child))
        kill(child->pid, SIGTERM);
    return child_wait(child, timeout_ms);
}
