/* up_stage.h — the program `noria` itself on a stage of its own: a directory, scripts in the place of its processes, what it said. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "must.h"
#include "proc.h"

#define DEADLINE_NS (30 * NS_PER_S)

static char base[64], noria[PATH_MAX];
static int changes = -1; /* readable when a file of the directory was made, written or removed */

static inline const char *below(const char *name)
{
    static char paths[64][128];
    static unsigned next;
    char *path = paths[next++ % ARRAY_LEN(paths)];
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static inline void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(below(name), O_CREAT | O_WRONLY | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static inline const char *content(const char *name)
{
    static char text[32 * 1024];
    int fd = open(below(name), O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Stands in for all four programs: notes its arguments, says READY, ends on SIGTERM. */
static const char stand_in[] =
    "#!/bin/sh\n"
    "name=$(basename $0)\n"
    "trap 'echo $name >>$T/ended; exit 0' TERM\n"
    "echo \"$name $* fds=$LISTEN_FDS names=$LISTEN_FDNAMES dir=$NORIA_RUNTIME_DIR\" >>$T/args\n"
    "test $name != noria-broker || : >$T/run/bus/broker.sock\n"
    "echo READY >&$NORIA_READY_FD\n"
    "while :; do read x <$T/never; done\n";

static inline int setup(void **state)
{
    (void)state;
    static const char *const programs[] = {"bin/plc-sim", "bin/noria-broker", "bin/plc-agent",
                                           "bin/noria-worker"};
    snprintf(base, sizeof base, "/tmp/up_test.XXXXXX");
    if (mkdtemp(base) == NULL || mkdir(below("bin"), 0700) != 0 || mkfifo(below("never"), 0600) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        write_file(programs[i], stand_in, 0700);
    write_file(
        "conf.yaml",
        "workers: {count: 2}\n"
        "listeners: [{name: main, port: 0}, {name: six, address: '::1', port: 0, dialects: [rest, streams, "
        "carousel]}]\n"
        "machines:\n"
        "  - {id: left, name: Izquierda, ip: 10.0.0.1, simulator: true}\n"
        "  - {id: right, ip: 10.0.0.2, profile: not-built-in}\n"
        "bridges: [{from: states, stream: 'a \"b\"'}, {from: results, stream: c}]\n",
        0600);
    setenv("T", base, 1);
    changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return inotify_add_watch(changes, base, IN_MODIFY | IN_CREATE | IN_DELETE) >= 0 ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"bin/plc-sim",   "bin/noria-broker",
                                        "bin/plc-agent", "bin/noria-worker",
                                        "conf.yaml",     "never",
                                        "args",          "ended",
                                        "out",           "err",
                                        "bad.yaml",      "bin/hand",
                                        "chat.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(below(names[i]));
    close(changes);
    rmdir(below("bin"));
    return rmdir(base); /* fails if the runtime directory, or anything else, was left */
}

/* --- running noria ---------------------------------------------------------------------------------------------- */

static inline pid_t start(const char *const *argv)
{
    unlink(below("out")); /* what it says is not to be taken for what the one before said */
    unlink(below("err"));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(open(below("out"), O_CREAT | O_WRONLY | O_TRUNC, 0600), STDOUT_FILENO);
        dup2(open(below("err"), O_CREAT | O_WRONLY | O_TRUNC, 0600), STDERR_FILENO);
        execv(noria, (char *const *)argv);
        _exit(126);
    }
    return pid;
}

static inline pid_t start_up_with(const char *file)
{
    const char *const argv[] = {"noria",         "up",         "-c", below(file), "--bin-dir", below("bin"),
                                "--runtime-dir", below("run"), NULL};
    return start(argv);
}

static inline pid_t start_up(void)
{
    return start_up_with("conf.yaml");
}

/* True if the descriptor was readable before the time (CLOCK_MONOTONIC) had come. */
static inline bool readable(int fd, uint64_t until_ns)
{
    uint64_t now = clock_mono_ns(clock_system());
    int ms = until_ns > now ? (int)((until_ns - now) / NS_PER_MS) + 1 : 0;
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, ms) == 1;
}

/* What a process says or leaves below the directory. */
#define UNTIL(cond)                                                                                          \
    do {                                                                                                     \
        uint64_t until_end = clock_mono_ns(clock_system()) + DEADLINE_NS;                                    \
        char until_rest[4096];                                                                               \
        while (!(cond)) {                                                                                    \
            if (!readable(changes, until_end))                                                               \
                fail_msg("waited in vain for %s", #cond);                                                    \
            while (read(changes, until_rest, sizeof until_rest) > 0)                                         \
                continue;                                                                                    \
        }                                                                                                    \
    } while (0)

/* True if the process has ended, and then `status` is its; waits so long at most. */
static inline bool ended(pid_t pid, uint64_t within_ns, int *status)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(pidfd >= 0);
    bool over = readable(pidfd, clock_mono_ns(clock_system()) + within_ns);
    close(pidfd);
    return over && waitpid(pid, status, 0) == pid;
}

static inline int exit_code(pid_t pid)
{
    int status = 0;
    if (!ended(pid, DEADLINE_NS, &status))
        fail_msg("waited in vain for the end of process %d", (int)pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static inline int run(const char *const *argv)
{
    return exit_code(start(argv));
}

static inline bool says(const char *file, const char *text)
{
    return strstr(content(file), text) != NULL;
}

static inline void expect(const char *file, const char *text)
{
    if (!says(file, text))
        fail_msg("%s does not say \"%s\":\n%s", file, text, content(file));
}

static inline size_t lines_with(const char *file, const char *word)
{
    size_t count = 0;
    for (const char *at = strstr(content(file), word); at != NULL; at = strstr(at + 1, word))
        count++;
    return count;
}

#define PLAY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static inline void find_noria(void)
{
    ssize_t n = readlink("/proc/self/exe", noria, sizeof noria - 8);
    MUST(n > 0);
    noria[n] = '\0';
    memcpy(strrchr(noria, '/'), "/noria", sizeof "/noria");
}
