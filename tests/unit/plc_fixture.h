/* plc_fixture.h — for the tests of the agent and its driver: simulated PLCs and whatever talks to them on one loop, in
 * one thread. Nothing sleeps: a test turns the loop until a condition holds, with a deadline. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"
#include "sim_answer.h"
#include "sim_plc.h"
#include "sim_server.h"

#define PLC_DEADLINE_NS (60 * NS_PER_S)

struct plc_fixture {
    struct clock_manual manual;
    struct loop *loop;
    struct sim_log *log;
    struct sim_server *sim;
    char dir[64], log_path[96];
    char answer[16384];
};

/* `real`: on the machine's clock; else on a manual one. */
static inline void plc_begin(struct plc_fixture *f, bool real)
{
    memset(f, 0, sizeof *f);
    clock_manual_init(&f->manual, 1000 * NS_PER_S, 1764000000000);
    const struct clock *clock = real ? clock_system() : &f->manual.clock;
    f->loop = loop_new(clock);
    strcpy(f->dir, "/tmp/noria-agent-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->log_path, sizeof f->log_path, "%s/sim.log", f->dir);
    assert_int_equal(sim_log_open(f->log_path, 16 << 20, clock, &f->log), ERR_OK);
    f->sim = sim_server_new(f->loop, f->log, &(struct sim_server_conf){false, SIM_UNLISTED_DEFAULT});
}

static inline void plc_end(struct plc_fixture *f)
{
    sim_server_free(&f->sim);
    sim_log_close(&f->log);
    loop_free(&f->loop);
    unlink(f->log_path);
    assert_int_equal(rmdir(f->dir), 0);
}

static inline struct sim_plc *plc_add(struct plc_fixture *f, const char *id, const char *profile,
                                      uint32_t pace_ms)
{
    struct sim_plc_conf conf = {id, "127.0.0.1", 0, profile_builtin(profile), 26, pace_ms};
    assert_int_equal(sim_server_add(f->sim, &conf), ERR_OK);
    return sim_server_find(f->sim, id);
}

/* One line of plc-sim's control language, which must succeed. */
__attribute__((format(printf, 2, 3))) static inline const char *plc_tell(struct plc_fixture *f,
                                                                         const char *fmt, ...)
{
    char line[SIM_LINE_MAX], problem[SIM_PROBLEM_MAX];
    struct sim_command command;
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (sim_command_parse(line, strlen(line), &command, problem) != ERR_OK)
        fail_msg("%s: %s", line, problem);
    struct out out = out_init(f->answer, sizeof f->answer - 1);
    sim_answer(f->sim, &command, &out);
    f->answer[out.len] = '\0';
    if (strncmp(f->answer, "ok", 2) != 0)
        fail_msg("%s: %s", line, f->answer);
    return f->answer;
}

/* How often the log of truth says that machine `id` was sent bytes that begin with this hex text. */
static inline unsigned plc_log_count(const struct plc_fixture *f, const char *id, const char *hex)
{
    char line[1024], needle[128];
    unsigned count = 0;
    snprintf(needle, sizeof needle, " rx=%s", hex);
    FILE *file = fopen(f->log_path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        char name[96];
        snprintf(name, sizeof name, "machine=%s ", id);
        if (strstr(line, name) != NULL && strstr(line, needle) != NULL)
            count++;
    }
    fclose(file);
    return count;
}

static inline unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* Turns the loop until `condition` holds. */
#define TURN_UNTIL(loop_, condition)                                                                         \
    do {                                                                                                     \
        uint64_t turn_end = clock_mono_ns(clock_system()) + PLC_DEADLINE_NS;                                 \
        while (!(condition)) {                                                                               \
            if (clock_mono_ns(clock_system()) > turn_end)                                                    \
                fail_msg("never came true: %s", #condition);                                                 \
            loop_poll(loop_);                                                                                \
        }                                                                                                    \
    } while (0)
