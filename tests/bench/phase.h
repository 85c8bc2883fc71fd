/* phase.h — one measured stretch of time: the difference of two looks at a sender and at its clients. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "bare.h"
#include "fleet.h"
#include "rig.h"

/* Who sends: the worker of a rig, or the bare sender. */
struct subject {
    const struct fleet *fleet; /* its clients */
    struct rig *rig;           /* NULL: the bare sender */
    struct child *bare_child;
    struct bare_shared *bare;
    const struct child *source; /* who makes the messages, or NULL */
};

struct phase {
    double seconds;
    struct fleet_counts counts;
    uint64_t cpu_ns;        /* of the workers, or of the bare sender */
    uint64_t broker_cpu_ns; /* of a rig */
    uint64_t gen_cpu_ns, source_cpu_ns;
    uint64_t machine_busy_ns;     /* of everything on this machine */
    uint64_t writes, write_bytes; /* by the sender's own counters */
    uint64_t lags;                /* times a worker gave up a client's backlog, or was lapped; phase_lags() */
    struct hist latency, first, last;
};

void phase_begin(const struct subject *subject, struct phase *phase);
void phase_end(const struct subject *subject, struct phase *phase);

/* How often the workers gave up a client's backlog for newest states, or were lapped, since they began. The workers show
 * it a few times a second: look before a run, and again once nothing is on its way any more. */
uint64_t phase_lags(const struct rig *rig);

double phase_deliveries_per_second(const struct phase *phase);
double phase_deliveries_per_cpu_second(const struct phase *phase);
double phase_frame_bytes(const struct phase *phase);
double phase_frames_per_write(const struct phase *phase);
/* CPU seconds per second that neither the subject, the broker, the source nor the generators used: the machine's noise. */
double phase_other_cpu(const struct phase *phase);
