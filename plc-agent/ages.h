/* ages.h — an agent's latency histograms (wire_metrics.h), and their entries for its heartbeats (Hops: D5, C5, C6). Pure.
 *
 * Each call of ages_fill() goes on where the last one ended, so that all that is not empty is told in a few heartbeats, however much
 * that is (wire_histograms.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "stats.h"
#include "wire_histograms.h"
#include "wire_metrics.h"

#define X(NAME, name) AGE_##NAME,
enum age_e { WIRE_AGENT_HISTOGRAMS(X) AGES };
#undef X

struct ages {
    struct stats stats;
    size_t next; /* entry to be told */
    uint64_t
        memory[AGES * (STATS_BUCKETS + 10) + 4]; /* stats_size() of the table; looked at in ages_init() */
};

void ages_init(struct ages *ages);
void ages_observe(struct ages *ages, enum age_e age, uint64_t ns);
/* The age now of what began at `source_ns`; 0, or later than now (another host's clock): nothing. */
void ages_observe_since(struct ages *ages, enum age_e age, uint64_t source_ns, uint64_t now_ns);

/* Writes at most `cap` bytes of entries; returns how many. */
size_t ages_fill(struct ages *ages, unsigned char *out, size_t cap);
