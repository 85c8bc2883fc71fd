/* phase.c — see phase.h. */
#include "phase.h"

#include <stdatomic.h>
#include <stdio.h>

#include "clock.h"
#include "procfs.h"
#include "seg_counters.h"

static uint64_t worker_counter(const struct rig *rig, const char *name)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < rig->config.workers; i++) {
        char segment[32];
        uint64_t value;
        snprintf(segment, sizeof segment, "worker.%u", i);
        seg_counter(rig->dir, segment, name, &value);
        sum += value;
    }
    return sum;
}

uint64_t phase_lags(const struct rig *rig)
{
    return worker_counter(rig, "outbox_lags") + worker_counter(rig, "tail_lapped");
}

static void look(const struct subject *subject, struct phase *phase)
{
    *phase = (struct phase){.gen_cpu_ns = fleet_cpu_ns(subject->fleet),
                            .machine_busy_ns = procfs_machine_busy_ns()};
    if (subject->source != NULL)
        phase->source_cpu_ns = procfs_cpu_ns(subject->source->pid);
    if (subject->rig != NULL) {
        const struct rig *rig = subject->rig;
        phase->writes = worker_counter(rig, "outbox_writes");
        phase->write_bytes = worker_counter(rig, "outbox_bytes");
        phase->broker_cpu_ns = procfs_cpu_ns(rig->broker.pid);
        for (uint32_t i = 0; i < rig->config.workers; i++)
            phase->cpu_ns += procfs_cpu_ns(rig->workers[i].pid);
    } else {
        phase->writes = atomic_load(&subject->bare->sends);
        phase->write_bytes = atomic_load(&subject->bare->bytes);
        phase->cpu_ns = procfs_cpu_ns(subject->bare_child->pid);
    }
    fleet_hist(subject->fleet, FLEET_LATENCY, &phase->latency);
    fleet_hist(subject->fleet, FLEET_FIRST, &phase->first);
    fleet_hist(subject->fleet, FLEET_LAST, &phase->last);
    phase->counts = fleet_counts(subject->fleet);
    phase->seconds = (double)clock_mono_ns(clock_system()) / 1e9;
}

void phase_begin(const struct subject *subject, struct phase *phase)
{
    look(subject, phase);
}

void phase_end(const struct subject *subject, struct phase *phase)
{
    struct phase before = *phase;
    look(subject, phase);
    phase->seconds -= before.seconds;
    phase->cpu_ns -= before.cpu_ns;
    phase->broker_cpu_ns -= before.broker_cpu_ns;
    phase->gen_cpu_ns -= before.gen_cpu_ns;
    phase->source_cpu_ns -= before.source_cpu_ns;
    phase->machine_busy_ns -= before.machine_busy_ns;
    phase->writes -= before.writes;
    phase->write_bytes -= before.write_bytes;
    fleet_counts_subtract(&phase->counts, &before.counts);
    hist_subtract(&phase->latency, &before.latency);
    hist_subtract(&phase->first, &before.first);
    hist_subtract(&phase->last, &before.last);
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

double phase_deliveries_per_second(const struct phase *phase)
{
    return ratio((double)phase->counts.deliveries, phase->seconds);
}

double phase_deliveries_per_cpu_second(const struct phase *phase)
{
    return ratio((double)phase->counts.deliveries, (double)phase->cpu_ns / 1e9);
}

double phase_frame_bytes(const struct phase *phase)
{
    return ratio((double)phase->counts.bytes, (double)phase->counts.deliveries);
}

double phase_frames_per_write(const struct phase *phase)
{
    return ratio(ratio((double)phase->write_bytes, (double)phase->writes), phase_frame_bytes(phase));
}

double phase_other_cpu(const struct phase *phase)
{
    double ours = (double)(phase->cpu_ns + phase->broker_cpu_ns + phase->gen_cpu_ns + phase->source_cpu_ns);
    double other = ratio((double)phase->machine_busy_ns - ours, phase->seconds * 1e9);
    return other > 0 ? other : 0;
}
