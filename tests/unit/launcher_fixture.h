/* launcher_fixture.h — a family of shell scripts on a clock that the test moves.
 *
 * Scripts are given as text to /bin/sh; they say READY, leave marks in a log file, and wait by reading a FIFO that nobody
 * writes, so that only a signal or the test ends them. The test waits for marks and states with a deadline in real time;
 * time limits of the family pass only when the test moves the clock.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "family.h"
#include "loop.h"
#include "must.h"

#define READY_NS    (10 * NS_PER_S)
#define STOP_NS     (5 * NS_PER_S)
#define DEADLINE_NS (30 * NS_PER_S)
#define SAY_READY   "echo READY >&$NORIA_READY_FD; "
#define MARK(what)  "echo " what " >>$T/log; "
#define WAIT        "while :; do read x <$T/never; done; "
#define STOPS(what) "trap 'echo stop-" what " >>$T/log; exit 0' TERM; "
#define SCRIPT(...)                                                                                          \
    {                                                                                                        \
        "/bin/sh", "-c", __VA_ARGS__                                                                         \
    }

struct troupe {
    char dir[64];
    struct clock_manual clock;
    struct loop *loop;
    struct family *family;
    int ready_told, stopped_told, exit_code;
};

static inline void troupe_ready(void *arg)
{
    ((struct troupe *)arg)->ready_told++;
}

static inline void troupe_stopped(void *arg, int exit_code)
{
    struct troupe *t = arg;
    t->stopped_told++;
    t->exit_code = exit_code;
}

static inline int troupe_setup(void **state)
{
    struct troupe *t = calloc(1, sizeof *t);
    char path[96];
    snprintf(t->dir, sizeof t->dir, "/tmp/launcher_test.XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    setenv("T", t->dir, 1);
    snprintf(path, sizeof path, "%s/never", t->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/log", t->dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    clock_manual_init(&t->clock, 1000 * NS_PER_S, 0);
    t->loop = loop_new(&t->clock.clock);
    const struct family_options options = {-1, READY_NS, STOP_NS, troupe_ready, troupe_stopped, t};
    t->family = family_new(t->loop, &options);
    assert_non_null(t->family);
    *state = t;
    return 0;
}

static inline void troupe_add(struct troupe *t, enum family_stage_e stage, const char *name,
                              const char *script)
{
    struct family_member member = {.stage = stage, .argv = {"/bin/sh", "-c", script}};
    snprintf(member.name, sizeof member.name, "%s", name);
    assert_int_equal(family_add(t->family, &member), ERR_OK);
}

static inline const char *troupe_log(struct troupe *t)
{
    static char text[8192];
    char path[96];
    snprintf(path, sizeof path, "%s/log", t->dir);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static inline bool troupe_marked(struct troupe *t, const char *mark)
{
    return strstr(troupe_log(t), mark) != NULL;
}

static inline void troupe_touch(struct troupe *t, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

/* Runs the loop until `cond` holds; the test fails if that takes DEADLINE_NS of real time. */
#define UNTIL(t, cond)                                                                                       \
    do {                                                                                                     \
        uint64_t until_end = clock_mono_ns(clock_system()) + DEADLINE_NS;                                    \
        while (!(cond)) {                                                                                    \
            loop_poll((t)->loop);                                                                            \
            if (clock_mono_ns(clock_system()) > until_end)                                                   \
                fail_msg("waited in vain for %s; log:\n%s", #cond, troupe_log(t));                           \
            nanosleep(&(struct timespec){0, 200000}, NULL);                                                  \
        }                                                                                                    \
    } while (0)

static inline void troupe_advance(struct troupe *t, uint64_t ns)
{
    clock_manual_advance_ns(&t->clock, ns);
    loop_poll(t->loop);
}

static inline int troupe_teardown(void **state)
{
    struct troupe *t = *state;
    family_kill(t->family);
    UNTIL(t, t->stopped_told > 0);
    assert_int_equal(t->stopped_told, 1);
    family_free(&t->family);
    loop_free(&t->loop);
    static const char *const names[] = {"never", "log", "go", "go2", "conf.yaml"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%s", t->dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(t->dir), 0);
    free(t);
    return 0;
}
