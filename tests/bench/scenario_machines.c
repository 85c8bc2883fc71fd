/* scenario_machines.c — many machines on one host: an agent process each, polling a simulated PLC at 4 Hz. CPU of all
 * agents and of the broker, and each agent's share of memory; the simulator is not counted. */
#include <inttypes.h>
#include <stdio.h>

#include "bench.h"
#include "clock.h"
#include "procfs.h"
#include "seg_counters.h"

#define POLL_MS   250u
#define SETTLE_MS 3000u

static uint64_t agents_cpu_ns(const struct rig *rig)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < rig->config.machines; i++)
        ns += procfs_cpu_ns(rig->agents[i].pid);
    return ns;
}

static void report_memory(struct report *report, const char *name, const struct rig *rig)
{
    struct procfs_memory memory;
    double pss = 0, rss = 0, highest = 0;
    for (uint32_t i = 0; i < rig->config.machines; i++) {
        procfs_memory(rig->agents[i].pid, &memory);
        pss += (double)memory.pss_kib / 1024;
        rss += (double)memory.rss_kib / 1024;
        highest = (double)memory.pss_kib / 1024 > highest ? (double)memory.pss_kib / 1024 : highest;
    }
    report_value(report, name, "PSS per agent", pss / rig->config.machines, "MiB");
    report_value(report, name, "PSS of the largest agent", highest, "MiB");
    report_value(report, name, "RSS per agent", rss / rig->config.machines, "MiB");
    procfs_memory(rig->broker.pid, &memory);
    report_value(report, name, "RSS of the broker", (double)memory.rss_kib / 1024, "MiB");
}

static void report_cpu(struct bench *bench, const char *name, const struct rig *rig)
{
    uint64_t agents = agents_cpu_ns(rig), broker = procfs_cpu_ns(rig->broker.pid),
             sim = procfs_cpu_ns(rig->sim.pid);
    uint64_t begun = clock_mono_ns(clock_system());
    bench_sleep_ms(bench_or(bench->options.duration_ms, bench, 10000, 1000));
    double ns = (double)(clock_mono_ns(clock_system()) - begun);
    agents = agents_cpu_ns(rig) - agents;
    broker = procfs_cpu_ns(rig->broker.pid) - broker;
    sim = procfs_cpu_ns(rig->sim.pid) - sim;
    report_value(&bench->report, name, "CPU of all agents", (double)agents / ns, "cores");
    report_value(&bench->report, name, "CPU of the broker", (double)broker / ns, "cores");
    report_value(&bench->report, name, "CPU of the simulator", (double)sim / ns, "cores");
    report_value(&bench->report, name, "agent CPU per poll",
                 (double)agents / 1e3 / (ns / 1e9 * 1000 / POLL_MS * rig->config.machines), "us");
}

static enum err_e wait_agents(const struct rig *rig)
{
    uint64_t agents = 0;
    for (unsigned tries = 0; tries < 600; tries++) {
        seg_counter(rig->dir, "broker", "agents", &agents);
        if (agents == rig->config.machines)
            return ERR_OK;
        bench_sleep_ms(50);
    }
    printf("  the broker knows %" PRIu64 " agents\n", agents);
    return ERR_TIMEOUT;
}

void scenario_machines(struct bench *bench)
{
    static struct rig rig;
    struct rig_config config = bench_rig(bench);
    char name[64];
    config.machines = bench_or(bench->options.machines, bench, 1000, 10);
    config.agents = true;
    config.poll_ms = POLL_MS;
    config.worker_core = config.other_core = -1; /* two cores for a thousand processes */
    snprintf(name, sizeof name, "%u machines; 4 Hz", config.machines);
    uint64_t begun = clock_mono_ns(clock_system());
    enum err_e err = rig_start(&config, &rig);
    if (err == ERR_OK)
        err = wait_agents(&rig);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK) {
        double seconds = (double)(clock_mono_ns(clock_system()) - begun) / 1e9;
        report_value(&bench->report, name, "started in", seconds, "s");
        bench_sleep_ms(bench->options.smoke ? 500 : SETTLE_MS);
        report_cpu(bench, name, &rig);
        report_memory(&bench->report, name, &rig);
        report_check(&bench->report, rig_healthy(&rig), "a process of the system ended");
    }
    report_check(&bench->report, rig_stop(&rig), "a process of the system did not end cleanly");
}
