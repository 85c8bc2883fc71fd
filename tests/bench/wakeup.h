/* wakeup.h — what it costs this machine to wake a sleeping process: the unit in which latencies on an idle system are
 * made. On virtual machines it is far from the microseconds of bare metal, and it changes from hour to hour. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench_hist.h"

/* One process writes to a pipe every `pause_ms`, another one sleeps on it; from the write to the reader's first
 * instruction, `samples` times. The writer runs on core `from`, the reader on `to` (-1: any). False: no pipe or
 * process. */
bool wakeup_measure(int from, int to, uint32_t samples, uint32_t pause_ms, struct hist *hist);
