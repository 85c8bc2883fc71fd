/* bench_hist.h — latency histogram of the bench: log-linear, 64 buckets per power of two (quantiles right to 1.6 %).
 *
 * The construction is that of HDR histograms (G. Tene): the bucket index is the number's exponent and its six leading
 * bits, so that adding is a handful of instructions and never allocates. One process writes, others read a copy:
 * a histogram only grows, and a phase is the difference of two copies. Values above 2^40 ns (18 minutes) count as that.
 *
 * common/stats has a coarser one for counters in shared segments (12.5 %); the bench's figures need more.
 */
#pragma once

#include <stdint.h>

#define HIST_SUB_BITS 6u
#define HIST_SUBS     (1u << HIST_SUB_BITS)
#define HIST_EXP_MAX  40u
#define HIST_BUCKETS  ((HIST_EXP_MAX - HIST_SUB_BITS + 1) * HIST_SUBS)

struct hist {
    uint64_t count, sum;
    uint64_t buckets[HIST_BUCKETS];
};

static inline unsigned hist_index(uint64_t value)
{
    if (value < HIST_SUBS)
        return (unsigned)value;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
    if (exponent >= HIST_EXP_MAX)
        return HIST_BUCKETS - 1;
    unsigned shift = exponent - HIST_SUB_BITS;
    return (shift + 1) * HIST_SUBS + (unsigned)((value >> shift) & (HIST_SUBS - 1));
}

/* Adds `times` equal values. */
static inline void hist_add_many(struct hist *hist, uint64_t value, uint64_t times)
{
    hist->count += times;
    hist->sum += value * times;
    hist->buckets[hist_index(value)] += times;
}

static inline void hist_add(struct hist *hist, uint64_t value)
{
    hist_add_many(hist, value, 1);
}

uint64_t hist_upper_edge(unsigned index); /* largest value that falls into the bucket */

/* Upper edge of the bucket that holds quantile q (0 to 1; 0 is the smallest value, 1 the largest); 0 if empty. */
uint64_t hist_quantile(const struct hist *hist, double q);
double hist_mean(const struct hist *hist);

/* now −= before, both copies of one growing histogram. */
void hist_subtract(struct hist *now, const struct hist *before);
void hist_merge(struct hist *into, const struct hist *from);
