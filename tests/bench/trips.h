/* trips.h — figures of round trips: phases of one asker and whoever answers it (ask.h). */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "ask.h"
#include "report.h"
#include "rig.h"

#define TRIPS_HANDLERS_MAX 4

struct trips_subject {
    struct asker *asker;
    pid_t server;                       /* the worker, or the bare echo */
    pid_t handlers[TRIPS_HANDLERS_MAX]; /* 0: none */
    const struct rig *rig;              /* NULL: the bare echo */
};

struct trips_phase {
    double seconds;
    uint64_t answers, wrong, skipped;
    uint64_t server_ns, handler_ns, broker_ns, asker_ns, machine_ns; /* CPU time */
    uint64_t writes;                                                 /* of the worker's outbox */
    struct hist latency;
};

void trips_begin(const struct trips_subject *subject, struct trips_phase *phase);
void trips_end(const struct trips_subject *subject, struct trips_phase *phase);

double trips_per_second(const struct trips_phase *phase);
double trips_per_server_cpu(const struct trips_phase *phase);  /* per CPU-second */
double trips_per_handler_cpu(const struct trips_phase *phase); /* 0: no handler */
/* CPU seconds per second of everything that has no part in it. */
double trips_other_cpu(const struct trips_phase *phase);
