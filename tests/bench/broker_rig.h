/* broker_rig.h — a noria-broker for broker_bench: its configuration and its process, and what can be read of it while it runs. Whatever fails ends
 * the bench.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "clock.h"

struct broker_rig {
    char dir[64], conf_file[96], endpoint[128];
    const char *program;
    pid_t pid;
};

extern struct broker_rig
    broker_rig; /* the one; dir, conf_file, endpoint and program are main()'s to fill in */

static inline uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

/* Writes the configuration. `more`: settings of every machine; `streams`: so many bridges of all states. */
void broker_rig_configure(int machines, const char *more, int streams);

/* From exec to READY, in ns. */
uint64_t broker_rig_start(void);
void broker_rig_stop(int signo);

/* Value of a metric, or, where `quantile` is above 0, that quantile of a histogram in ns. */
uint64_t broker_rig_metric(const char *name, double quantile);

/* CPU seconds of a process, and of its first thread alone. */
void broker_rig_cpu(pid_t pid, double *whole, double *first);
