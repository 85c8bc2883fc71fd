/* scenario_handshake.c — how fast clients get in.
 *
 * `churn`: a fixed number of clients at a time, each closed as soon as it has its `welcome`; per second and per CPU-second
 * of the worker, in turn with the bare sender's accept loop. `storm`: N subscribed clients lose their connections at the
 * same moment and all come back at once, with handshake, subscription and snapshot.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "clock.h"
#include "fan_setup.h"
#include "procfs.h"

#define AT_A_TIME 64u
#define LIVE_MS   60000u
#define SETTLE_MS 200u
#define PAIRS_MAX 100u

struct churn {
    double per_second, per_cpu_second;
    uint64_t failed;
};

/* Of all workers, or of the bare sender. */
static uint64_t server_cpu_ns(const struct rig *rig, const struct fan_bare *bare)
{
    uint64_t ns = bare != NULL ? procfs_cpu_ns(bare->child.pid) : 0;
    for (uint32_t i = 0; rig != NULL && i < rig->config.workers; i++)
        ns += procfs_cpu_ns(rig->workers[i].pid);
    return ns;
}

static struct churn churn(const struct bench *bench, struct fleet *fleet, const struct rig *rig,
                          const struct fan_bare *bare)
{
    fleet_command(fleet, GEN_CHURN);
    bench_sleep_ms(SETTLE_MS);
    struct fleet_counts before = fleet_counts(fleet);
    uint64_t cpu = server_cpu_ns(rig, bare), begun = clock_mono_ns(clock_system());
    bench_sleep_ms(bench_or(bench->options.duration_ms, bench, 3000, 500));
    struct fleet_counts after = fleet_counts(fleet);
    double seconds = (double)(clock_mono_ns(clock_system()) - begun) / 1e9;
    double cpu_seconds = (double)(server_cpu_ns(rig, bare) - cpu) / 1e9,
           lives = (double)(after.lives - before.lives);
    fleet_command(fleet, GEN_HOLD);
    bench_sleep_ms(SETTLE_MS);
    return (struct churn){lives / seconds, cpu_seconds > 0 ? lives / cpu_seconds : 0,
                          after.failed - before.failed};
}

static void churn_pairs(struct bench *bench, struct rig *rig, struct fleet *fleet, struct fan_bare *bare)
{
    double rate[PAIRS_MAX], cpu[PAIRS_MAX], bare_cpu[PAIRS_MAX], bare_rate[PAIRS_MAX], ratio[PAIRS_MAX];
    uint32_t pairs = bench_or(bench->options.pairs, bench, 5, 1);
    uint64_t failed = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        struct churn system = churn(bench, fleet, rig, NULL);
        struct churn yardstick = churn(bench, &bare->fleet, NULL, bare);
        rate[i] = system.per_second;
        cpu[i] = system.per_cpu_second;
        bare_rate[i] = yardstick.per_second;
        bare_cpu[i] = yardstick.per_cpu_second;
        ratio[i] = yardstick.per_cpu_second > 0 ? system.per_cpu_second / yardstick.per_cpu_second : 0;
        failed += system.failed;
    }
    struct report *report = &bench->report;
    char name[64];
    snprintf(name, sizeof name, "churn; %u at a time; %u workers", AT_A_TIME, rig->config.workers);
    report_value(report, name, "handshakes/s", bench_median(rate, pairs), "1/s");
    report_value(report, name, "handshakes per worker CPU-second", bench_median(cpu, pairs), "1/s");
    report_value(report, name, "bare: handshakes/s", bench_median(bare_rate, pairs), "1/s");
    report_value(report, name, "bare: handshakes per CPU-second", bench_median(bare_cpu, pairs), "1/s");
    report_value(report, name, "ratio to bare sender", bench_median(ratio, pairs), "");
    report_check(report, rate[0] > 0, "%s: no handshakes", name);
    report_check(report, failed == 0, "%s: %" PRIu64 " handshakes failed", name, failed);
}

static void run_churn(struct bench *bench, struct rig *rig)
{
    static struct fleet fleet;
    static struct fan_bare bare;
    struct gen_options options = bench_gen(bench);
    options.port = rig->port;
    options.clients = AT_A_TIME;
    options.per_address = 4; /* many source addresses: ports of one would run out */
    options.dialogue = GEN_WELCOME;
    enum err_e err = fleet_start(&fleet, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(&fleet, LIVE_MS);
    if (err == ERR_OK)
        err = fan_bare_start(&bare, bench, 1, AT_A_TIME);
    report_check(&bench->report, err == ERR_OK, "churn: clients did not connect");
    if (err == ERR_OK)
        churn_pairs(bench, rig, &fleet, &bare);
    report_check(&bench->report, fleet_stop(&fleet) && fan_bare_stop(&bare),
                 "churn: a process did not end cleanly");
}

/* --- storm ------------------------------------------------------------------------------------------------------------ */

static void run_storm(struct bench *bench, struct rig *rig)
{
    static struct fleet fleet;
    static struct hist hist, before;
    double seconds[PAIRS_MAX];
    uint32_t clients = bench_or(bench->options.clients, bench, 10000, 200);
    uint32_t times = bench_or(bench->options.pairs, bench, 5, 1), done = 0;
    struct gen_options options = bench_gen(bench);
    options.port = rig->port;
    options.clients = clients;
    options.per_address = 100; /* the gate bounds half-open connections of one address */
    char name[64];
    snprintf(name, sizeof name, "storm; %u clients; %u workers", clients, rig->config.workers);
    enum err_e err = fleet_start(&fleet, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(&fleet, LIVE_MS);
    report_check(&bench->report, err == ERR_OK, "%s: clients did not connect", name);
    fleet_hist(&fleet, FLEET_HANDSHAKE, &before);
    for (; err == ERR_OK && done < times; done++) {
        uint64_t ns = fleet_storm(&fleet, GEN_STORM);
        report_check(&bench->report, ns != 0, "%s: not all came back", name);
        if (ns == 0)
            break;
        seconds[done] = (double)ns / 1e9;
        bench_sleep_ms(SETTLE_MS);
    }
    if (done > 0) {
        fleet_hist(&fleet, FLEET_HANDSHAKE, &hist);
        hist_subtract(&hist, &before);
        report_value(&bench->report, name, "all back", bench_median(seconds, done), "s");
        report_value(&bench->report, name, "slowest storm", seconds[done - 1], "s");
        report_value(&bench->report, name, "client p50", (double)hist_quantile(&hist, 0.5) / 1e6, "ms");
        report_value(&bench->report, name, "client p99", (double)hist_quantile(&hist, 0.99) / 1e6, "ms");
        struct fleet_counts counts = fleet_counts(&fleet);
        report_value(&bench->report, name, "attempts refused", (double)counts.refused, "");
        report_value(&bench->report, name, "attempts failed", (double)(counts.failed - counts.refused), "");
    }
    report_check(&bench->report, fleet_stop(&fleet), "%s: a generator did not end cleanly", name);
}

void scenario_handshake(struct bench *bench)
{
    static struct rig rig;
    struct rig_config config = bench_rig(bench);
    config.workers = bench_or(bench->options.workers, bench, 1, 1);
    if (config.workers > 1)
        config.worker_core = -1;
    enum err_e err = rig_start(&config, &rig);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err != ERR_OK)
        return;
    run_churn(bench, &rig);
    run_storm(bench, &rig);
    report_check(&bench->report, rig_healthy(&rig), "a process of the system ended");
    report_check(&bench->report, rig_stop(&rig), "a process of the system did not end cleanly");
}
