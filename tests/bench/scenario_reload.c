/* scenario_reload.c — what clients notice of a reload: states of many machines flow at a steady rate, and meanwhile the configuration
 * gains a machine and loses it again, on SIGHUP to broker and workers.
 *
 * Phases in turn: quiet, and with a reload in the middle of it. What differs is the highest and the 99th percentile of source to client,
 * of every delivery: how long a broker or worker did nothing else than to take the new configuration over. The bench's source plays
 * the agents, so that no poll blurs it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "clock.h"
#include "fan_setup.h"
#include "pairs.h"
#include "rig_conf.h"
#include "seg_counters.h"

#define LIVE_MS 60000u
#define CLIENTS 100u
#define RATE    2000u
#define TAKE_MS 20000u

struct reload {
    struct bench *bench;
    struct rig rig;
    struct fleet fleet;
    struct fan_source source;
    uint32_t machines;
    bool grown;
    uint64_t took_ns; /* the longest, from SIGHUP to the broker's new number of machines */
};

/* The configuration with one machine more, or without it again. */
static enum err_e rewrite(struct reload *r)
{
    r->grown = !r->grown;
    struct rig changed = r->rig;
    changed.config.machines = r->machines + r->grown;
    return rig_conf_write(&changed);
}

static bool wait_machines(const struct rig *rig, const char *segment, uint64_t wanted)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + TAKE_MS * NS_PER_MS, machines = 0;
    while (clock_mono_ns(clock_system()) < deadline) {
        if (seg_counter(rig->dir, segment, "machines", &machines) && machines == wanted)
            return true;
        bench_sleep_ms(1);
    }
    return false;
}

/* True when broker and workers have it. */
static bool reload(struct reload *r)
{
    if (rewrite(r) != ERR_OK)
        return false;
    uint64_t begun = clock_mono_ns(clock_system()), wanted = r->machines + r->grown;
    kill(r->rig.broker.pid, SIGHUP);
    for (uint32_t i = 0; i < r->rig.config.workers; i++)
        kill(r->rig.workers[i].pid, SIGHUP);
    if (!wait_machines(&r->rig, "broker", wanted))
        return false;
    uint64_t took = clock_mono_ns(clock_system()) - begun;
    r->took_ns = took > r->took_ns ? took : r->took_ns;
    return true;
}

/* False: the reload did not come through. */
static bool run_phase(struct reload *r, bool with_reload, struct phase *phase)
{
    struct subject subject = {.fleet = &r->fleet, .rig = &r->rig, .source = &r->source.child};
    uint32_t half = bench_or(r->bench->options.duration_ms, r->bench, 2000, 400) / 2;
    bool done = true;
    phase_begin(&subject, phase);
    bench_sleep_ms(half);
    if (with_reload)
        done = reload(r);
    bench_sleep_ms(half);
    phase_end(&subject, phase);
    return done;
}

static void report_side(struct report *report, const char *name, const char *side, const struct hist *hist)
{
    char metric[64];
    const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"highest", 1}};
    for (unsigned i = 0; i < 3; i++) {
        snprintf(metric, sizeof metric, "%s %s", side, quantiles[i].name);
        report_value(report, name, metric, (double)hist_quantile(hist, quantiles[i].q) / 1e3, "us");
    }
}

static void measure(struct reload *r)
{
    static struct phase phase;
    static struct hist quiet, reloading;
    static double highest_quiet[PAIRS_MAX], highest_reload[PAIRS_MAX];
    struct report *report = &r->bench->report;
    uint32_t pairs = bench_or(r->bench->options.pairs, r->bench, 7, 2), done = 0;
    uint64_t bad = 0, closed = 0;
    char name[96];
    snprintf(name, sizeof name, "%u machines; %u clients; %u/s", r->machines, fleet_clients(&r->fleet), RATE);
    for (uint32_t i = 0; i < 2 * pairs; i++) {
        bool with = i % 2 == 1;
        done += run_phase(r, with, &phase) && with;
        hist_merge(with ? &reloading : &quiet, &phase.latency);
        (with ? highest_reload : highest_quiet)[i / 2] = (double)hist_quantile(&phase.latency, 1) / 1e3;
        bad += phase.counts.gaps + phase.counts.lost + phase.counts.disorder + phase.counts.malformed;
        closed += phase.counts.closed;
    }
    report_side(report, name, "quiet", &quiet);
    report_side(report, name, "with a reload", &reloading);
    report_value(report, name, "highest of a quiet phase (median)", bench_median(highest_quiet, pairs), "us");
    report_value(report, name, "highest of a phase with a reload (median)",
                 bench_median(highest_reload, pairs), "us");
    report_value(report, name, "reload took at most", (double)r->took_ns / 1e6, "ms");
    report_check(report, done == pairs, "%s: %u of %u reloads came through", name, done, pairs);
    report_check(report, bad == 0, "%s: %" PRIu64 " gaps, losses or disorder", name, bad);
    report_check(report, closed == 0, "%s: %" PRIu64 " connections closed", name, closed);
}

static enum err_e start(struct reload *r, uint32_t clients)
{
    struct rig_config config = bench_rig(r->bench);
    config.machines = r->machines;
    enum err_e err = rig_start(&config, &r->rig);
    if (err == ERR_OK)
        err = fan_source_init(&r->source, &r->rig);
    if (err != ERR_OK)
        return err;
    struct gen_options options = bench_gen(r->bench);
    options.port = r->rig.port;
    options.clients = clients;
    options.table = r->source.table;
    err = fleet_start(&r->fleet, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(&r->fleet, LIVE_MS);
    if (err == ERR_OK)
        err = fan_source_start(&r->source, &r->fleet, options.core);
    return err;
}

void scenario_reload(struct bench *bench)
{
    static struct reload r;
    r = (struct reload){.bench = bench, .machines = bench_or(bench->options.machines, bench, 1000, 20)};
    enum err_e err = start(&r, bench_or(bench->options.clients, bench, CLIENTS, 10));
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK) {
        atomic_store(&r.source.shared->rate, RATE);
        fan_source_set(&r.source, SOURCE_RUN);
        bench_sleep_ms(PAIRS_SETTLE_MS);
        measure(&r);
        report_check(&bench->report, rig_healthy(&r.rig), "a process of the system ended");
    }
    report_check(&bench->report, fan_source_stop(&r.source), "the source did not end cleanly");
    report_check(&bench->report, fleet_stop(&r.fleet), "a generator did not end cleanly");
    report_check(&bench->report, rig_stop(&r.rig), "a process of the system did not end cleanly");
}
