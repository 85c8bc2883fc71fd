/* trips.c — see trips.h. */
#include "trips.h"

#include <stdatomic.h>

#include "clock.h"
#include "procfs.h"
#include "seg_counters.h"

static void look(const struct trips_subject *subject, struct trips_phase *phase)
{
    const struct ask_shared *shared = subject->asker->shared;
    *phase = (struct trips_phase){.server_ns = procfs_cpu_ns(subject->server),
                                  .asker_ns = procfs_cpu_ns(subject->asker->child.pid),
                                  .machine_ns = procfs_machine_busy_ns()};
    for (unsigned i = 0; i < TRIPS_HANDLERS_MAX; i++)
        phase->handler_ns += subject->handlers[i] != 0 ? procfs_cpu_ns(subject->handlers[i]) : 0;
    if (subject->rig != NULL) {
        phase->broker_ns = procfs_cpu_ns(subject->rig->broker.pid);
        seg_counter(subject->rig->dir, "worker.0", "outbox_writes", &phase->writes);
    }
    phase->answers = atomic_load(&shared->answers);
    phase->wrong = atomic_load(&shared->wrong);
    phase->skipped = atomic_load(&shared->skipped);
    phase->latency = shared->latency;
    phase->seconds = (double)clock_mono_ns(clock_system()) / 1e9;
}

void trips_begin(const struct trips_subject *subject, struct trips_phase *phase)
{
    look(subject, phase);
}

void trips_end(const struct trips_subject *subject, struct trips_phase *phase)
{
    struct trips_phase before = *phase;
    look(subject, phase);
    phase->seconds -= before.seconds;
    phase->answers -= before.answers;
    phase->wrong -= before.wrong;
    phase->skipped -= before.skipped;
    phase->server_ns -= before.server_ns;
    phase->handler_ns -= before.handler_ns;
    phase->broker_ns -= before.broker_ns;
    phase->asker_ns -= before.asker_ns;
    phase->machine_ns -= before.machine_ns;
    phase->writes -= before.writes;
    hist_subtract(&phase->latency, &before.latency);
}

static double per(uint64_t count, double divisor)
{
    return divisor > 0 ? (double)count / divisor : 0;
}

double trips_per_second(const struct trips_phase *phase)
{
    return per(phase->answers, phase->seconds);
}

double trips_per_server_cpu(const struct trips_phase *phase)
{
    return per(phase->answers, (double)phase->server_ns / 1e9);
}

double trips_per_handler_cpu(const struct trips_phase *phase)
{
    return per(phase->answers, (double)phase->handler_ns / 1e9);
}

double trips_other_cpu(const struct trips_phase *phase)
{
    uint64_t ours = phase->server_ns + phase->handler_ns + phase->broker_ns + phase->asker_ns;
    return phase->machine_ns > ours ? per(phase->machine_ns - ours, phase->seconds * 1e9) : 0;
}
