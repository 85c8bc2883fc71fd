/* scenario_latency.c — from the PLC's answer to every client's socket, on an idle system (Hops: D1 to D11).
 *
 * One simulated machine, one agent, broker, one worker, N subscribers. The simulator is told to stand elsewhere, the
 * agent's next poll reads it, and all clients get one frame; then nothing happens until the next change. Two clocks look
 * at it: the worker's own histograms (readable at the agent → written to the first / last client), and the bench's
 * (simulator's log → received by the first / last client; all times are CLOCK_MONOTONIC). Beside it the bare sender writes
 * one frame at a time to as many clients: what 1,000 writes and wake-ups cost on this machine, whoever makes them.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "change_meter.h"
#include "fan_setup.h"
#include "seg_counters.h"
#include "wakeup.h"

#define POLL_MS   10u
#define LIVE_MS   60000u
#define BARE_RATE 25u

struct latency {
    struct bench *bench;
    struct rig rig;
    struct fleet fleet;
    struct change_meter meter;
    uint32_t clients;
};

/* Pauses of changing length, so that changes do not keep step with polls. */
static uint32_t pause_ms(uint32_t sample)
{
    return 15 + sample * 7 % 17;
}

static uint32_t make_changes(struct latency *l, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++) {
        if (!change_make(&l->meter))
            return i;
        bench_sleep_ms(pause_ms(i));
    }
    return samples;
}

static void report_quantiles(struct report *report, const char *name, const char *what,
                             const struct hist *hist)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}};
    for (unsigned i = 0; i < 2; i++) {
        char metric[96];
        snprintf(metric, sizeof metric, "%s %s", what, quantiles[i].name);
        report_value(report, name, metric, (double)hist_quantile(hist, quantiles[i].q) / 1e3, "us");
    }
}

static void report_worker(struct report *report, const char *name, const struct rig *rig)
{
    static const char *const metrics[][2] = {{"hop_d11_first_ns", "agent to first write (worker)"},
                                             {"hop_d11_last_ns", "agent to last write (worker)"}};
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 2; k++) {
            uint64_t ns, count;
            char metric[96];
            if (!seg_quantile(rig->dir, "worker.0", metrics[i][0], k == 0 ? 0.5 : 0.99, &ns, &count))
                continue;
            snprintf(metric, sizeof metric, "%s %s", metrics[i][1], k == 0 ? "p50" : "p99");
            report_value(report, name, metric, (double)ns / 1e3, "us");
        }
}

static void report_all(struct latency *l, uint32_t samples, uint32_t done)
{
    static struct hist hists[CHANGE_SPANS];
    static const char *const what[CHANGE_SPANS] = {"PLC asked to first client", "PLC asked to last client",
                                                   "PLC answered to first client",
                                                   "PLC answered to last client"};
    struct report *report = &l->bench->report;
    char name[64];
    snprintf(name, sizeof name, "%u clients; idle", l->clients);
    uint32_t matched = change_match(&l->meter, hists);
    report_value(report, name, "samples", matched, "");
    for (unsigned i = 0; i < CHANGE_SPANS; i++)
        report_quantiles(report, name, what[i], &hists[i]);
    report_worker(report, name, &l->rig);
    struct fleet_counts c = fleet_counts(&l->fleet);
    report_check(report, done == samples, "only %u of %u changes reached every client", done, samples);
    report_check(report, matched >= done, "only %u of %u changes were found in the simulator's log", matched,
                 done);
    report_check(report, c.gaps + c.disorder + c.malformed + c.closed == 0,
                 "gaps %" PRIu64 " out of order %" PRIu64 " malformed %" PRIu64 " closed %" PRIu64, c.gaps,
                 c.disorder, c.malformed, c.closed);
}

/* The agents' way to a client wakes the broker's and the worker's threads in turn: their number times this. */
static void report_wakeups(struct bench *bench, uint32_t samples)
{
    static struct hist hist;
    int a = bench->options.pin ? 0 : -1, b = bench->options.pin ? 1 : -1;
    if (wakeup_measure(a, b, samples, 30, &hist))
        report_quantiles(&bench->report, "one wake-up", "of a process on the other core", &hist);
    if (wakeup_measure(a, a, samples, 30, &hist))
        report_quantiles(&bench->report, "one wake-up", "of a process on the same core", &hist);
}

static void run_bare(struct latency *l, uint32_t samples)
{
    static struct fan_bare bare;
    static struct phase phase;
    struct report *report = &l->bench->report;
    char name[64];
    snprintf(name, sizeof name, "%u clients; idle", l->clients);
    enum err_e err = fan_bare_start(&bare, l->bench, 1, l->clients);
    report_check(report, err == ERR_OK, "the bare sender did not start");
    if (err == ERR_OK) {
        struct subject subject = {.fleet = &bare.fleet, .bare_child = &bare.child, .bare = bare.shared};
        atomic_store(&bare.shared->rate, BARE_RATE);
        phase_begin(&subject, &phase);
        fan_bare_set(&bare, BARE_RUN);
        bench_sleep_ms(samples * 1000 / BARE_RATE);
        fan_bare_set(&bare, BARE_PAUSE);
        fan_drain(&bare.fleet);
        phase_end(&subject, &phase);
        report_quantiles(report, name, "bare: first client", &phase.first);
        report_quantiles(report, name, "bare: last client", &phase.last);
    }
    report_check(report, fan_bare_stop(&bare), "the bare sender did not end cleanly");
}

static enum err_e start(struct latency *l)
{
    struct rig_config config = bench_rig(l->bench);
    config.machines = 1;
    config.agents = true;
    config.poll_ms = config.poll_moving_ms = POLL_MS;
    enum err_e err = rig_start(&config, &l->rig);
    if (err != ERR_OK)
        return err;
    bench_sleep_ms(500); /* the birth goes to nobody: clients come afterwards */
    struct gen_options options = bench_gen(l->bench);
    options.port = l->rig.port;
    options.clients = l->clients;
    options.log_events = true;
    err = fleet_start(&l->fleet, &options);
    return err == ERR_OK ? fleet_wait_live(&l->fleet, LIVE_MS) : err;
}

void scenario_latency(struct bench *bench)
{
    static struct latency l;
    l = (struct latency){.bench = bench, .clients = bench_or(bench->options.clients, bench, 1000, 20)};
    l.meter = (struct change_meter){.rig = &l.rig, .fleet = &l.fleet, .clients = l.clients};
    uint32_t samples = bench_or(bench->options.samples, bench, 300, 20);
    enum err_e err = start(&l);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK)
        report_all(&l, samples, make_changes(&l, samples));
    report_check(&bench->report, fleet_stop(&l.fleet), "a generator did not end cleanly");
    report_check(&bench->report, rig_stop(&l.rig), "a process of the system did not end cleanly");
    run_bare(&l, samples);
    report_wakeups(bench, bench->options.smoke ? 20 : 150);
}
