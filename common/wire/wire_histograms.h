/* wire_histograms.h — an agent's latency histograms (wire_metrics.h) in its heartbeats: sparse, bounded, and true whatever is lost.
 *
 * A heartbeat carries as many entries as fit its field, in turn, going on where the one before ended. An entry is one bucket that
 * is not empty, or a histogram's sum, as it stands since the agent started: it replaces what was there. So a heartbeat that is
 * lost, or a broker that was not there, costs nothing but the time until the entry's next turn (a few heartbeats).
 *
 *     entry: one little-endian 64-bit word     histogram << 56 | bucket << 48 | value
 *     bucket                                   as in stats.h, 0 to WIRE_HISTOGRAM_BUCKETS - 1: how many; WIRE_HISTOGRAM_SUM: the sum in µs
 *
 * Rejected: differences since the last heartbeat, which are smaller and lose with every message that is lost; whole histograms, 1.3 KB each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

#define WIRE_HISTOGRAM_BUCKETS   160u
#define WIRE_HISTOGRAM_SUM       255u
#define WIRE_HISTOGRAM_VALUE_MAX ((1ULL << 48) - 1)
#define WIRE_HISTOGRAM_ENTRY     8u  /* bytes */
#define WIRE_HISTOGRAM_ENTRIES   64u /* of one heartbeat */

struct wire_histogram_entry {
    unsigned histogram, bucket;
    uint64_t value; /* larger ones are cut to WIRE_HISTOGRAM_VALUE_MAX */
};

void wire_histogram_encode(const struct wire_histogram_entry *entry,
                           unsigned char bytes[WIRE_HISTOGRAM_ENTRY]);

/* The next entry, cut off the front of `rest`. False: the end, or fewer bytes than an entry. What the numbers mean is not
 * checked: a histogram or bucket that is none is for the receiver to leave out. */
bool wire_histogram_next(struct wire_text *rest, struct wire_histogram_entry *entry);
