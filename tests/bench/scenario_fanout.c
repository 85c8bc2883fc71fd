/* scenario_fanout.c — one broker, one worker, N subscribers of all machines, and the bare sender beside them.
 *
 * For each number of clients and each rate, system (A) and bare sender (B) run in turn: A B A B … B sends the same
 * frames at the same rate in batches of the size that the worker's own counters showed in the A before it, to as many
 * clients of its own. Reported are medians over the pairs; the ratio is the median of the pairs' ratios, because the
 * machine's speed drifts between pairs. CPU time is the worker's alone, or the bare process's alone.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "fan_setup.h"
#include "pairs.h"

#define MACHINES 8u
#define LIVE_MS  60000u
#define WINDOW   256u

struct sides {
    struct bench *bench;
    struct rig rig;
    struct fleet fleet;
    struct fan_source source;
    struct fan_bare bare;
};

static uint32_t duration(const struct bench *bench)
{
    return bench_or(bench->options.duration_ms, bench, 1500, 600);
}

static uint32_t window(const struct bench *bench)
{
    return bench_or(bench->options.window, bench, WINDOW, WINDOW);
}

static void run_system(struct sides *s, uint32_t rate, struct phase *phase)
{
    struct subject subject = {.fleet = &s->fleet, .rig = &s->rig, .source = &s->source.child};
    uint64_t lags = phase_lags(&s->rig);
    atomic_store(&s->source.shared->rate, rate);
    atomic_store(&s->source.shared->window, window(s->bench));
    fan_source_set(&s->source, SOURCE_RUN);
    bench_sleep_ms(PAIRS_SETTLE_MS);
    phase_begin(&subject, phase);
    bench_sleep_ms(duration(s->bench));
    phase_end(&subject, phase);
    fan_source_set(&s->source, SOURCE_PAUSE);
    fan_drain(&s->fleet);
    bench_sleep_ms(PAIRS_SETTLE_MS);
    phase->lags = phase_lags(&s->rig) - lags;
}

/* A client whose backlog was given up gets the newest state of each machine, in frames that no other client gets: then
 * the common order says nothing about gaps, and the figure of conflated deliveries tells. */
static void check_phase(struct report *report, const char *name, const char *side, const struct phase *phase)
{
    const struct fleet_counts *c = &phase->counts;
    report_check(report, c->deliveries > 0, "%s: %s delivered nothing", name, side);
    report_check(report, c->malformed + (phase->lags > 0 ? 0 : c->gaps + c->lost + c->disorder) == 0,
                 "%s: %s: gaps %" PRIu64 " lost %" PRIu64 " out of order %" PRIu64 " malformed %" PRIu64,
                 name, side, c->gaps, c->lost, c->disorder, c->malformed);
    report_check(report, c->closed == 0, "%s: %s closed %" PRIu64 " connections", name, side, c->closed);
}

static void measure(struct sides *s, uint32_t clients, uint32_t rate)
{
    static struct pairs figures;
    static struct phase system, bare;
    static struct hist latency, last, bare_latency;
    struct report *report = &s->bench->report;
    uint32_t pairs = bench_or(s->bench->options.pairs, s->bench, 7, 1);
    char name[96];
    double frame_bytes = 0;
    uint64_t conflated = 0, lags = 0, late = atomic_load(&s->source.shared->late),
             full = atomic_load(&s->source.shared->full);
    latency = last = bare_latency = (struct hist){0};
    snprintf(name, sizeof name, rate != 0 ? "%u clients; %s; %u/s" : "%u clients; %s; maximum", clients,
             s->bench->options.payload->name, rate);
    for (uint32_t i = 0; i < pairs; i++) {
        run_system(s, rate, &system);
        struct pairs_bare run = {rate, phase_frames_per_write(&system), window(s->bench), duration(s->bench)};
        pairs_run_bare(&s->bare, &run, &bare);
        check_phase(report, name, "the worker", &system);
        check_phase(report, name, "the bare sender", &bare);
        pairs_note(&figures, i, &system, &bare);
        hist_merge(&latency, &system.latency);
        hist_merge(&last, &system.last);
        hist_merge(&bare_latency, &bare.latency);
        frame_bytes = phase_frame_bytes(&system);
        conflated += system.lags > 0 ? system.counts.conflated + system.counts.gaps : 0;
        lags += system.lags;
    }
    pairs_report(report, name, &figures, pairs);
    pairs_report_latency(report, name, "latency", &latency);
    report_value(report, name, "latency highest", (double)hist_quantile(&latency, 1) / 1e6, "ms");
    pairs_report_latency(report, name, "latency of the last client", &last);
    pairs_report_latency(report, name, "bare: latency", &bare_latency);
    report_value(report, name, "frame", frame_bytes, "bytes");
    report_value(report, name, "backlogs given up", (double)lags, "");
    report_value(report, name, "conflated deliveries", (double)conflated, "");
    report_value(report, name, "source: sent late", (double)(atomic_load(&s->source.shared->late) - late),
                 "");
    report_value(report, name, "source: bus full", (double)(atomic_load(&s->source.shared->full) - full), "");
}

static enum err_e start_sides(struct sides *s, uint32_t clients)
{
    struct rig_config config = bench_rig(s->bench);
    config.machines = bench_or(s->bench->options.machines, s->bench, MACHINES, MACHINES);
    config.workers = bench_or(s->bench->options.workers, s->bench, 1, 1);
    enum err_e err = rig_start(&config, &s->rig);
    if (err != ERR_OK)
        return err;
    err = fan_source_init(&s->source, &s->rig);
    if (err != ERR_OK)
        return err;
    struct gen_options options = bench_gen(s->bench);
    options.port = s->rig.port;
    options.clients = clients;
    options.table = s->source.table;
    err = fleet_start(&s->fleet, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(&s->fleet, LIVE_MS);
    if (err == ERR_OK)
        err = fan_source_start(&s->source, &s->fleet, config.other_core);
    if (err == ERR_OK)
        err = fan_bare_start(&s->bare, s->bench, config.machines, clients);
    return err;
}

static void with_clients(struct bench *bench, uint32_t clients, const uint32_t *rates, unsigned rate_count)
{
    static struct sides sides;
    sides = (struct sides){.bench = bench};
    enum err_e err = start_sides(&sides, clients);
    report_check(&bench->report, err == ERR_OK, "%u clients: the system did not start", clients);
    for (unsigned i = 0; err == ERR_OK && i < rate_count; i++)
        measure(&sides, clients, rates[i]);
    report_check(&bench->report, err != ERR_OK || rig_healthy(&sides.rig), "a process of the system ended");
    fan_source_stop(&sides.source);
    fan_bare_stop(&sides.bare);
    fleet_stop(&sides.fleet);
    report_check(&bench->report, rig_stop(&sides.rig), "a process of the system did not end cleanly");
}

void scenario_fanout(struct bench *bench)
{
    static const uint32_t thousand[] = {100, 1000, 5000, 20000, 0}, ten_thousand[] = {100, 1000, 5000, 0};
    static const uint32_t smoke[] = {200, 2000};
    if (bench->options.rate_given)
        with_clients(bench, bench_or(bench->options.clients, bench, 1000, 50), &bench->options.rate, 1);
    else if (bench->options.smoke)
        with_clients(bench, bench_or(bench->options.clients, bench, 50, 50), smoke, 2);
    else if (bench->options.clients != 0)
        with_clients(bench, bench->options.clients, thousand, 5);
    else {
        with_clients(bench, 1000, thousand, 5);
        with_clients(bench, 10000, ten_thousand, 4);
    }
}
