/* pairs.c — see pairs.h. CPU time is the worker's alone, or the bare process's alone. */
#include "pairs.h"

#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"

void pairs_run_bare(struct fan_bare *bare, const struct pairs_bare *run, struct phase *phase)
{
    struct subject subject = {.fleet = &bare->fleet, .bare_child = &bare->child, .bare = bare->shared};
    uint64_t frames = run->batch < 1 ? 1 : (uint64_t)(run->batch + 0.5);
    atomic_store(&bare->shared->batch, frames);
    atomic_store(&bare->shared->rate, run->rate);
    atomic_store(&bare->shared->window, frames * 3 > run->window ? frames * 3 : run->window);
    fan_bare_set(bare, BARE_RUN);
    bench_sleep_ms(PAIRS_SETTLE_MS);
    phase_begin(&subject, phase);
    bench_sleep_ms(run->ms);
    phase_end(&subject, phase);
    fan_bare_set(bare, BARE_PAUSE);
    fan_drain(&bare->fleet);
}

void pairs_note(struct pairs *pairs, uint32_t i, const struct phase *system, const struct phase *bare)
{
    double per_cpu = phase_deliveries_per_cpu_second(system),
           bare_per_cpu = phase_deliveries_per_cpu_second(bare);
    pairs->deliveries[i] = phase_deliveries_per_second(system);
    pairs->per_cpu[i] = per_cpu;
    pairs->bare_per_cpu[i] = bare_per_cpu;
    pairs->ratio[i] = bare_per_cpu > 0 ? per_cpu / bare_per_cpu : 0;
    pairs->batch[i] = phase_frames_per_write(system);
    pairs->worker_cpu[i] = (double)system->cpu_ns / 1e9 / system->seconds;
    pairs->broker_cpu[i] = (double)system->broker_cpu_ns / 1e9 / system->seconds;
    pairs->gen_cpu[i] = (double)system->gen_cpu_ns / 1e9 / system->seconds;
    pairs->other_cpu[i] = phase_other_cpu(system);
    pairs->bytes[i] = (double)system->counts.bytes / system->seconds;
}

void pairs_report(struct report *report, const char *name, struct pairs *pairs, uint32_t count)
{
    report_value(report, name, "deliveries/s", bench_median(pairs->deliveries, count), "1/s");
    report_value(report, name, "bytes/s", bench_median(pairs->bytes, count), "B/s");
    report_value(report, name, "deliveries per worker CPU-second", bench_median(pairs->per_cpu, count),
                 "1/s");
    report_value(report, name, "bare: deliveries per CPU-second", bench_median(pairs->bare_per_cpu, count),
                 "1/s");
    report_value(report, name, "ratio to bare sender", bench_median(pairs->ratio, count), "");
    report_value(report, name, "ratio: lowest pair", pairs->ratio[0], ""); /* the median sorted them */
    report_value(report, name, "ratio: highest pair", pairs->ratio[count - 1], "");
    report_value(report, name, "frames per write", bench_median(pairs->batch, count), "frames");
    report_value(report, name, "worker CPU", bench_median(pairs->worker_cpu, count), "cores");
    report_value(report, name, "broker CPU", bench_median(pairs->broker_cpu, count), "cores");
    report_value(report, name, "generator CPU", bench_median(pairs->gen_cpu, count), "cores");
    report_value(report, name, "other CPU", bench_median(pairs->other_cpu, count), "cores");
}

void pairs_report_latency(struct report *report, const char *name, const char *what, const struct hist *hist)
{
    char metric[64];
    snprintf(metric, sizeof metric, "%s p50", what);
    report_value(report, name, metric, (double)hist_quantile(hist, 0.5) / 1e6, "ms");
    snprintf(metric, sizeof metric, "%s p99", what);
    report_value(report, name, metric, (double)hist_quantile(hist, 0.99) / 1e6, "ms");
}
