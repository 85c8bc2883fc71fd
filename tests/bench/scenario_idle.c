/* scenario_idle.c — what an idle connection costs: memory of the workers per connection, and CPU for pings.
 *
 * Memory is the growth of the workers' resident (and proportional) size from before the clients came, divided by their
 * number; what the kernel holds for sockets is not in it. Clients are subscribed to all machines and receive nothing but
 * pings, each once per ping interval.
 */
#include <inttypes.h>
#include <stdio.h>

#include "bench.h"
#include "clock.h"
#include "procfs.h"

#define LIVE_MS 120000u

struct sizes {
    uint64_t rss_kib, pss_kib;
};

static struct sizes worker_sizes(const struct rig *rig)
{
    struct sizes sum = {0};
    for (uint32_t i = 0; i < rig->config.workers; i++) {
        struct procfs_memory memory;
        procfs_memory(rig->workers[i].pid, &memory);
        sum.rss_kib += memory.rss_kib;
        sum.pss_kib += memory.pss_kib;
    }
    return sum;
}

static uint64_t system_cpu_ns(const struct rig *rig)
{
    uint64_t ns = procfs_cpu_ns(rig->broker.pid);
    for (uint32_t i = 0; i < rig->config.workers; i++)
        ns += procfs_cpu_ns(rig->workers[i].pid);
    return ns;
}

static void report_memory(struct report *report, const char *name, const struct rig *rig, struct sizes before,
                          uint32_t clients, const char *when)
{
    struct sizes after = worker_sizes(rig);
    double rss = (double)(after.rss_kib - before.rss_kib) / clients;
    double pss = (double)(after.pss_kib - before.pss_kib) / clients;
    char metric[64];
    snprintf(metric, sizeof metric, "RSS per idle connection %s", when);
    report_value(report, name, metric, rss, "KiB");
    snprintf(metric, sizeof metric, "PSS per idle connection %s", when);
    report_value(report, name, metric, pss, "KiB");
}

/* Over one ping interval and a bit, so that every client is pinged at least once. */
static void report_pings(struct bench *bench, const char *name, const struct rig *rig,
                         const struct fleet *fleet, uint32_t window_ms)
{
    struct report *report = &bench->report;
    uint32_t clients = fleet_clients(fleet);
    struct fleet_counts before = fleet_counts(fleet), after;
    uint64_t cpu = system_cpu_ns(rig), begun = clock_mono_ns(clock_system());
    bench_sleep_ms(window_ms);
    after = fleet_counts(fleet);
    double seconds = (double)(clock_mono_ns(clock_system()) - begun) / 1e9;
    uint64_t used = system_cpu_ns(rig) - cpu, pings = after.pings - before.pings;
    report_value(report, name, "ping interval", rig->config.ping_interval_ms / 1e3, "s");
    report_value(report, name, "pings answered", (double)pings, "");
    report_value(report, name, "CPU of workers and broker", (double)used / 1e9 / seconds * 100,
                 "% of a core");
    report_check(report, pings >= clients, "%s: %" PRIu64 " pings to %u clients", name, pings, clients);
    report_check(report, after.closed == 0 && after.live == clients, "%s: %" PRIu64 " of %u still connected",
                 name, after.live, clients);
}

static void with_clients(struct bench *bench, uint32_t clients, uint32_t workers)
{
    static struct rig rig;
    static struct fleet fleet;
    struct rig_config config = bench_rig(bench);
    struct gen_options options = bench_gen(bench);
    char name[64];
    fleet = (struct fleet){0};
    snprintf(name, sizeof name, "%u clients; %u workers", clients, workers);
    config.workers = workers;
    if (workers > 1)
        config.worker_core = -1;
    if (bench->options.smoke)
        config.ping_interval_ms = 1000;
    enum err_e err = rig_start(&config, &rig);
    struct sizes before = {0};
    if (err == ERR_OK) {
        bench_sleep_ms(300);
        before = worker_sizes(&rig);
        options.port = rig.port;
        options.clients = clients;
        err = fleet_start(&fleet, &options);
    }
    if (err == ERR_OK)
        err = fleet_wait_live(&fleet, LIVE_MS);
    report_check(&bench->report, err == ERR_OK, "%s: not all connected", name);
    if (err == ERR_OK) {
        report_value(&bench->report, name, "RSS of the workers without clients",
                     (double)before.rss_kib / 1024, "MiB");
        report_memory(&bench->report, name, &rig, before, clients, "at first");
        uint32_t window = config.ping_interval_ms + config.ping_interval_ms / 10 + 500;
        report_pings(bench, name, &rig, &fleet, bench_or(bench->options.duration_ms, bench, window, window));
        report_memory(&bench->report, name, &rig, before, clients, "after pings");
    }
    report_check(&bench->report, fleet_stop(&fleet), "a generator did not end cleanly");
    report_check(&bench->report, rig_stop(&rig), "a process of the system did not end cleanly");
}

void scenario_idle(struct bench *bench)
{
    uint32_t workers = bench_or(bench->options.workers, bench, 1, 1);
    with_clients(bench, bench_or(bench->options.clients, bench, 10000, 200), workers);
}
