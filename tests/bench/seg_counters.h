/* seg_counters.h — counters and latency histograms of a process under test, from its shared segment (stats.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Value of the metric `name` in RUNTIME_DIR/shm/SEGMENT; 0 and false if there is no such segment or metric. */
bool seg_counter(const char *runtime_dir, const char *segment, const char *name, uint64_t *value);

/* Quantile of a histogram since the process began, in ns; *count: its values. */
bool seg_quantile(const char *runtime_dir, const char *segment, const char *name, double q, uint64_t *ns,
                  uint64_t *count);
