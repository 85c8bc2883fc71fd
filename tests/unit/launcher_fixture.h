/* launcher_fixture.h — a family of shell scripts on a clock that the test moves.
 *
 * Scripts are given as text to /bin/sh; they say READY, leave marks in a log file, and wait by reading a FIFO that nobody
 * writes, so that only a signal or the test ends them. The test waits for marks and states in the family's own loop, which also
 * wakes when a file of the directory changes (inotify) and at a deadline in real time (timerfd); time limits of the family pass
 * only when the test moves the clock.
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
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "family.h"
#include "loop.h"
#include "must.h"

#define READY_NS    (10 * NS_PER_S)
#define STOP_NS     (7 * NS_PER_S)
#define DRAIN_NS    (3 * NS_PER_S)
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
    int deaths_told;
    char death_of[FAMILY_NAME_MAX], death_told[96], death_next[96]; /* the last */
    char segments[80];
    int changes, alarm; /* descriptors that wake the loop: a file changed, a deadline has passed */
    struct loop_fd *changes_watch, *alarm_watch;
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

static inline void troupe_death(void *arg, const struct family_death *death)
{
    struct troupe *t = arg;
    t->deaths_told++;
    snprintf(t->death_of, sizeof t->death_of, "%s", death->member.name);
    snprintf(t->death_told, sizeof t->death_told, "%s", death->told);
    snprintf(t->death_next, sizeof t->death_next, "%s", death->next);
}

static inline void troupe_woken(void *arg, unsigned events)
{
    char rest[4096];
    (void)events;
    while (read(*(int *)arg, rest, sizeof rest) > 0)
        continue;
}

static inline void troupe_listen(struct troupe *t)
{
    t->changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    t->alarm = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    assert_true(t->changes >= 0 && t->alarm >= 0);
    assert_true(inotify_add_watch(t->changes, t->dir, IN_MODIFY | IN_CREATE | IN_DELETE) >= 0);
    t->changes_watch = loop_fd_new(t->loop, t->changes, LOOP_READ, troupe_woken, &t->changes);
    t->alarm_watch = loop_fd_new(t->loop, t->alarm, LOOP_READ, troupe_woken, &t->alarm);
    assert_true(t->changes_watch != NULL && t->alarm_watch != NULL);
}

static inline void troupe_deafen(struct troupe *t)
{
    loop_fd_free(&t->changes_watch);
    loop_fd_free(&t->alarm_watch);
    close(t->changes);
    close(t->alarm);
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
    snprintf(t->segments, sizeof t->segments, "%s/shm", t->dir);
    assert_int_equal(mkdir(t->segments, 0700), 0);
    clock_manual_init(&t->clock, 1000 * NS_PER_S, 0);
    t->loop = loop_new(&t->clock.clock);
    troupe_listen(t);
    const struct family_options options = {.lock_fd = -1,
                                           .ready_ns = READY_NS,
                                           .stop_ns = STOP_NS,
                                           .drain_ns = DRAIN_NS,
                                           .segments = t->segments,
                                           .on_death = troupe_death,
                                           .on_ready = troupe_ready,
                                           .on_stopped = troupe_stopped,
                                           .arg = t,
                                           .path = t->dir};
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

static inline void troupe_deadline(const struct troupe *t, uint64_t ns)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(ns / NS_PER_S)}};
    assert_int_equal(timerfd_settime(t->alarm, 0, &at, NULL), 0);
}

/* Runs the loop until `cond` holds; the test fails if that takes DEADLINE_NS of real time. What makes it hold is something that the
 * family does, or a change of a file in the directory. */
#define UNTIL(t, cond)                                                                                       \
    do {                                                                                                     \
        uint64_t until_end = clock_mono_ns(clock_system()) + DEADLINE_NS;                                    \
        troupe_deadline(t, DEADLINE_NS + NS_PER_S);                                                          \
        loop_poll((t)->loop);                                                                                \
        while (!(cond)) {                                                                                    \
            loop_step((t)->loop);                                                                            \
            if (clock_mono_ns(clock_system()) > until_end)                                                   \
                fail_msg("waited in vain for %s; log:\n%s", #cond, troupe_log(t));                           \
        }                                                                                                    \
        troupe_deadline(t, 0);                                                                               \
    } while (0)

/* The same for what only shows on a descriptor: a socket with an answer, a pidfd whose process has ended. */
static inline void troupe_nudged(void *arg, unsigned events)
{
    (void)events;
    loop_fd_set(*(struct loop_fd **)arg, 0); /* once is enough: whatever it was, `cond` is asked */
}

#define UNTIL_ON(t, fd, cond)                                                                                \
    do {                                                                                                     \
        struct loop_fd *until_watch = NULL;                                                                  \
        until_watch = loop_fd_new((t)->loop, fd, LOOP_READ, troupe_nudged, &until_watch);                    \
        assert_non_null(until_watch);                                                                        \
        UNTIL(t, cond);                                                                                      \
        loop_fd_free(&until_watch);                                                                          \
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
    troupe_deafen(t);
    loop_free(&t->loop);
    static const char *const names[] = {"never", "log", "go", "go2", "end", "hold", "conf.yaml"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%s", t->dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(t->segments), 0); /* no segment is left */
    assert_int_equal(rmdir(t->dir), 0);
    free(t);
    return 0;
}

#define PLAY(test) cmocka_unit_test_setup_teardown(test, troupe_setup, troupe_teardown)
