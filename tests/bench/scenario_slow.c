/* scenario_slow.c — some clients never read: what that costs the others, and the worker.
 *
 * Two groups of clients of one worker. The first always reads; the second (a tenth) reads in phase A and never reads in
 * phase B; A B A B …, the second group connecting anew for each phase. Compared are the first group's latencies, and the
 * worker's memory at the end of each phase.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "fan_setup.h"
#include "procfs.h"

#define MACHINES  8u
#define LIVE_MS   60000u
#define SETTLE_MS 1000u /* never-readers are full by then */
#define SHOWN_MS  300u  /* until a worker shows its counters again */
#define PAIRS_MAX 100u

struct slow {
    struct bench *bench;
    struct rig rig;
    struct fleet readers;
    struct fan_source source;
    uint32_t clients, others; /* all; second group */
};

struct slow_phase {
    struct phase phase;
    uint64_t rss_kib, closed;
    bool ok, others_lag;
};

static enum err_e start_others(struct slow *s, bool never_read, struct fleet *fleet)
{
    struct gen_options options = bench_gen(s->bench);
    options.port = s->rig.port;
    options.clients = s->others;
    options.never_read = never_read ? s->others : 0;
    options.first_address = 50;
    enum err_e err = fleet_start(fleet, &options);
    return err == ERR_OK ? fleet_wait_live(fleet, LIVE_MS) : err;
}

static void run_phase(struct slow *s, bool never_read, struct slow_phase *p)
{
    static struct fleet others;
    struct subject subject = {.fleet = &s->readers, .rig = &s->rig};
    struct procfs_memory memory;
    uint64_t lags = phase_lags(&s->rig);
    p->ok = start_others(s, never_read, &others) == ERR_OK;
    fan_source_set(&s->source, SOURCE_RUN);
    bench_sleep_ms(SETTLE_MS);
    phase_begin(&subject, &p->phase);
    bench_sleep_ms(bench_or(s->bench->options.duration_ms, s->bench, 4000, 800));
    phase_end(&subject, &p->phase);
    procfs_memory(s->rig.workers[0].pid, &memory);
    p->rss_kib = memory.rss_kib;
    p->closed = fleet_counts(&others).closed_slow;
    fan_source_set(&s->source, SOURCE_PAUSE);
    fan_drain(&s->readers);
    bench_sleep_ms(SHOWN_MS);
    lags = phase_lags(&s->rig) - lags;
    p->others_lag = lags > (never_read ? s->others : 0); /* a never-reader's backlog is given up once */
    p->ok = fleet_stop(&others) && p->ok;
}

static void check(struct slow *s, const char *name, const struct slow_phase *p)
{
    const struct fleet_counts *c = &p->phase.counts;
    report_check(&s->bench->report, p->ok, "%s: the second group did not connect or end", name);
    report_check(&s->bench->report, c->deliveries > 0, "%s: nothing was delivered", name);
    uint64_t missed = p->others_lag ? 0 : c->gaps + c->lost + c->disorder; /* see check_phase() of fanout */
    report_check(&s->bench->report, missed + c->malformed + c->closed == 0,
                 "%s: readers: gaps %" PRIu64 " lost %" PRIu64 " out of order %" PRIu64 " malformed %" PRIu64
                 " closed %" PRIu64,
                 name, c->gaps, c->lost, c->disorder, c->malformed, c->closed);
}

static void measure(struct slow *s)
{
    static struct slow_phase a, b;
    double p99[2][PAIRS_MAX], p50[2][PAIRS_MAX], ratio[PAIRS_MAX], grown[PAIRS_MAX], cpu[2][PAIRS_MAX];
    uint32_t pairs = bench_or(s->bench->options.pairs, s->bench, 5, 1);
    uint64_t closed = 0, lagging = 0;
    char name[96];
    snprintf(name, sizeof name, "%u of %u never read; %" PRIu64 "/s", s->others, s->clients,
             atomic_load(&s->source.shared->rate));
    for (uint32_t i = 0; i < pairs; i++) {
        run_phase(s, false, &a);
        run_phase(s, true, &b);
        check(s, name, &a);
        check(s, name, &b);
        const struct slow_phase *phases[] = {&a, &b};
        for (unsigned k = 0; k < 2; k++) {
            p50[k][i] = (double)hist_quantile(&phases[k]->phase.latency, 0.5) / 1e6;
            p99[k][i] = (double)hist_quantile(&phases[k]->phase.latency, 0.99) / 1e6;
            cpu[k][i] = (double)phases[k]->phase.cpu_ns / 1e9 / phases[k]->phase.seconds;
        }
        ratio[i] = p99[0][i] > 0 ? p99[1][i] / p99[0][i] : 0;
        grown[i] = ((double)b.rss_kib - (double)a.rss_kib) / s->others;
        closed += b.closed;
        lagging += a.others_lag + b.others_lag;
    }
    struct report *report = &s->bench->report;
    report_value(report, name, "others p50: all read", bench_median(p50[0], pairs), "ms");
    report_value(report, name, "others p50: some never read", bench_median(p50[1], pairs), "ms");
    report_value(report, name, "others p99: all read", bench_median(p99[0], pairs), "ms");
    report_value(report, name, "others p99: some never read", bench_median(p99[1], pairs), "ms");
    report_value(report, name, "p99 ratio", bench_median(ratio, pairs), "");
    report_value(report, name, "worker CPU: all read", bench_median(cpu[0], pairs), "cores");
    report_value(report, name, "worker CPU: some never read", bench_median(cpu[1], pairs), "cores");
    report_value(report, name, "worker RSS per never-reader", bench_median(grown, pairs), "KiB");
    report_value(report, name, "never-readers closed", (double)closed, "");
    report_value(report, name, "phases in which readers lagged too", (double)lagging, "");
}

static enum err_e start(struct slow *s)
{
    struct rig_config config = bench_rig(s->bench);
    config.machines = MACHINES;
    enum err_e err = rig_start(&config, &s->rig);
    if (err == ERR_OK)
        err = fan_source_init(&s->source, &s->rig);
    if (err != ERR_OK)
        return err;
    atomic_store(&s->source.shared->rate, s->bench->options.rate_given ? s->bench->options.rate
                                          : s->bench->options.smoke    ? 500
                                                                       : 200);
    struct gen_options options = bench_gen(s->bench);
    options.port = s->rig.port;
    options.clients = s->clients - s->others;
    options.table = s->source.table;
    err = fleet_start(&s->readers, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(&s->readers, LIVE_MS);
    return err == ERR_OK ? fan_source_start(&s->source, &s->readers, config.other_core) : err;
}

void scenario_slow(struct bench *bench)
{
    static struct slow s;
    s = (struct slow){.bench = bench, .clients = bench_or(bench->options.clients, bench, 10000, 100)};
    s.others = bench_or(bench->options.never_read, bench, s.clients / 10, s.clients / 10);
    enum err_e err = s.others > 0 && s.others < s.clients ? start(&s) : ERR_CONFIG;
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK) {
        measure(&s);
        report_check(&bench->report, rig_healthy(&s.rig), "a process of the system ended");
    }
    fan_source_stop(&s.source);
    fleet_stop(&s.readers);
    report_check(&bench->report, rig_stop(&s.rig), "a process of the system did not end cleanly");
}
