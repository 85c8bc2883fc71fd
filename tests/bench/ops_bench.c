/* ops_bench.c — what a document of /metrics costs the worker that makes it: figures for workers/acceptor/ops/README.md.
 *
 *     ops_bench [MACHINES]        1000
 *
 * Segments as agents and their launcher have them, in a directory of their own, read by the same steps as in a worker. CPU time of this thread, so
 * that a busy machine does not show: per document, and of the longest step, which is what a turn of the worker's loop can take beyond its slice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "must.h"
#include "ops_internal.h"
#include "segment.h"

enum { METRICS = 26, HISTOGRAMS = 5, MEMBER_METRICS = 11, ROUNDS = 20, MACHINES_MAX = 20000 };

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void name_metrics(struct stats_def *defs, char names[][24], size_t counters, size_t histograms)
{
    for (size_t i = 0; i < counters + histograms; i++) {
        snprintf(names[i], 24, i < counters ? "metric_%zu" : "hop_d%zu_ns", i);
        defs[i] = (struct stats_def){names[i], i < counters ? STATS_COUNTER : STATS_HISTOGRAM};
    }
}

static struct segment *make(const char *dir, const char *name, const char *id, const struct stats_def *defs,
                            size_t count)
{
    char path[160];
    struct segment *segment;
    struct stats stats;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (segment_create(path, "bench", id, 1, defs, count, &segment, &stats) != ERR_OK)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        if (defs[i].kind == STATS_HISTOGRAM)
            for (uint64_t ns = 1000; ns < NS_PER_S; ns *= 3)
                stats_observe_ns(&stats, i, ns);
        else
            stats_set(&stats, i, 123456 * i);
    }
    return segment;
}

static size_t make_all(const char *dir, unsigned machines, struct segment **segments)
{
    static char agent_names[METRICS + HISTOGRAMS][24], member_names[MEMBER_METRICS][24];
    static struct stats_def agent[METRICS + HISTOGRAMS], member[MEMBER_METRICS];
    size_t count = 0;
    name_metrics(agent, agent_names, METRICS, HISTOGRAMS);
    name_metrics(member, member_names, MEMBER_METRICS, 0);
    for (unsigned i = 0; i < machines; i++) {
        char name[48], id[32];
        snprintf(id, sizeof id, "carousel-%u", i);
        snprintf(name, sizeof name, "agent.%u", i);
        segments[count++] = make(dir, name, id, agent, ARRAY_LEN(agent));
        snprintf(name, sizeof name, "process.agent.%s", id);
        segments[count++] = make(dir, name, id, member, ARRAY_LEN(member));
    }
    return count;
}

struct cost {
    uint64_t cpu_ns, longest_ns;
    size_t bytes, steps;
};

static void one_document(const char *dir, struct cost *cost)
{
    struct scrape scrape;
    uint64_t began = cpu_ns(), before = began;
    enum err_e err = scrape_begin(&scrape, dir, 1);
    for (err = err == ERR_OK ? ERR_BUSY : err; err == ERR_BUSY; cost->steps++) {
        err = scrape_step(&scrape, 1);
        uint64_t now = cpu_ns();
        cost->longest_ns = now - before > cost->longest_ns ? now - before : cost->longest_ns;
        before = now;
    }
    cost->bytes = scrape.out.len;
    scrape_end(&scrape);
    cost->cpu_ns += cpu_ns() - began;
    if (err != ERR_OK)
        exit(1);
}

/* Another process has the segments, as in an installation; it ends, and takes them away, when our end of the pipe closes. */
static pid_t start_owner(const char *dir, unsigned machines, int hold[2])
{
    static struct segment *segments[2 * MACHINES_MAX];
    int made[2];
    char byte;
    if (pipe(hold) != 0 || pipe(made) != 0)
        exit(1);
    pid_t pid = fork();
    if (pid != 0) {
        close(hold[0]);
        close(made[1]);
        if (pid < 0 || read(made[0], &byte, 1) != 1)
            exit(1);
        return pid;
    }
    close(hold[1]);
    size_t count = make_all(dir, machines, segments);
    if (write(made[1], "", 1) == 1)
        while (read(hold[0], &byte, 1) > 0)
            ;
    for (size_t i = 0; i < count; i++)
        segment_close(&segments[i], true);
    _exit(0);
}

int main(int argc, char **argv)
{
    char dir[] = "/dev/shm/ops_bench.XXXXXX";
    unsigned machines = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
    struct cost cost = {0};
    if (machines == 0 || machines > MACHINES_MAX || mkdtemp(dir) == NULL)
        return 2;
    size_t count = 2 * machines;
    int hold[2];
    pid_t owner = start_owner(dir, machines, hold);
    for (unsigned i = 0; i < ROUNDS; i++)
        one_document(dir, &cost);
    printf("%u machines, %zu segments: %.1f MB, %.1f ms of CPU, %.1f us per segment, longest of %zu steps "
           "%.0f us\n",
           machines, count, (double)cost.bytes / 1e6, (double)cost.cpu_ns / ROUNDS / 1e6,
           (double)cost.cpu_ns / ROUNDS / 1e3 / (double)count, cost.steps / ROUNDS,
           (double)cost.longest_ns / 1e3);
    close(hold[1]);
    waitpid(owner, NULL, 0);
    return rmdir(dir) == 0 ? 0 : 1;
}
