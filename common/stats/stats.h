/* stats.h — counters, gauges and latency histograms in a block of memory that other processes read.
 *
 * A process declares its metrics in one table (X-macro) and lays a block out with it; the block describes itself
 * (names and kinds stand in it), so that a reader needs nothing but the block: `noria stats`, /metrics and
 * tests read it without asking its owner. One thread writes; readers may see a histogram mid-update, never a torn
 * value. No operation on the write side allocates, locks or makes a system call; all may be called from any callback.
 *
 * Block (words of 8 bytes, host order):
 *
 *     0  magic "NORISTAT"     1  version        2  number of metrics (m)   3  total words
 *     4… m descriptors of 8 words: name[48] NUL-padded, kind, index of first value word
 *     …  values: 1 word per counter or gauge, STATS_BUCKETS + 2 per histogram (count, sum in ns, buckets)
 *
 * Histogram buckets are log-linear: 4 per power of two, as in HDR histograms (G. Tene) with a coarse setting. Values
 * below 4 ns have a bucket each; the last bucket takes everything above 2^41 ns (36 minutes). A quantile is reported
 * as its bucket's upper edge: never too low, and at most 25 % too high.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

#define STATS_NAME_MAX 47
#define STATS_BUCKETS  160

enum stats_kind_e { STATS_COUNTER, STATS_GAUGE, STATS_HISTOGRAM };

struct stats_def {
    const char *name; /* snake_case, at most STATS_NAME_MAX bytes */
    enum stats_kind_e kind;
};

struct stats {
    _Atomic uint64_t *words;
    size_t count, total_words;
    const struct stats_def *defs;
};

/* Bytes that a table needs. */
size_t stats_size(const struct stats_def *defs, size_t count);

/* Lays out and zeroes the block at `memory` (8-byte aligned, stats_size() bytes). `defs` must outlive `stats`. */
void stats_init(struct stats *stats, void *memory, const struct stats_def *defs, size_t count);

void stats_add(struct stats *stats, size_t metric, uint64_t n);
void stats_set(struct stats *stats, size_t metric, uint64_t value);
uint64_t stats_get(const struct stats *stats, size_t metric);
void stats_observe_ns(struct stats *stats, size_t metric, uint64_t ns);

/* A histogram's parts, for who carries them to another block (an agent's, by its heartbeats). `bucket` is below STATS_BUCKETS; the
 * histogram's count follows its buckets. */
uint64_t stats_bucket(const struct stats *stats, size_t metric, size_t bucket);
void stats_set_bucket(struct stats *stats, size_t metric, size_t bucket, uint64_t count);
uint64_t stats_sum_ns(const struct stats *stats, size_t metric);
void stats_set_sum_ns(struct stats *stats, size_t metric, uint64_t sum_ns);

/* Reading a block of another process. The content is not trusted: ERR_MALFORMED or ERR_VERSION. */
struct stats_view {
    const _Atomic uint64_t *words;
    size_t count, total_words;
};
enum err_e stats_view_open(struct stats_view *view, const void *memory, size_t size);
/* Name (copied, NUL-terminated), kind and value of a metric; a histogram's value is its count. False past the end or
 * where the descriptor makes no sense. */
bool stats_view_metric(const struct stats_view *view, size_t metric, char name[STATS_NAME_MAX + 1],
                       enum stats_kind_e *kind, uint64_t *value);
/* Upper edge of the bucket that holds quantile q (0..1) of a histogram, in ns; 0 if it is empty or no histogram. */
uint64_t stats_view_quantile_ns(const struct stats_view *view, size_t metric, double q);
/* All buckets of a histogram, and the sum of its values in ns. Their sum is the count that goes with them; that which stats_view_metric()
 * told may be another, because its owner goes on meanwhile. False: no histogram. */
bool stats_view_buckets(const struct stats_view *view, size_t metric, uint64_t buckets[STATS_BUCKETS],
                        uint64_t *sum_ns);
/* The largest value that falls into this bucket; UINT64_MAX of the last. */
uint64_t stats_bucket_top_ns(size_t bucket);
