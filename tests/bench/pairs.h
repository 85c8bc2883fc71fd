/* pairs.h — figures of interleaved pairs: the system (A) and the bare sender (B) in turn, A B A B …
 *
 * B sends the same frames at the same rate in batches of the size that the worker's own counters showed in the A before it.
 * Reported are medians over the pairs; the ratio is the median of the pairs' ratios, because the machine's speed drifts
 * between pairs. */
#pragma once

#include "fan_setup.h"

#define PAIRS_MAX       100u
#define PAIRS_SETTLE_MS 300u /* from a change of what is sent to the measured phase */

struct pairs {
    double deliveries[PAIRS_MAX], per_cpu[PAIRS_MAX], bare_per_cpu[PAIRS_MAX], ratio[PAIRS_MAX];
    double batch[PAIRS_MAX], bytes[PAIRS_MAX];
    double broker_cpu[PAIRS_MAX], worker_cpu[PAIRS_MAX], gen_cpu[PAIRS_MAX], other_cpu[PAIRS_MAX];
};

struct pairs_bare {
    uint32_t rate;   /* messages per second; 0: as fast as possible */
    double batch;    /* phase_frames_per_write() of the system's phase */
    uint32_t window; /* messages on their way with rate 0; at least three batches are */
    uint32_t ms;
};

/* One phase of the bare sender; nothing is on its way any more when it returns. */
void pairs_run_bare(struct fan_bare *bare, const struct pairs_bare *run, struct phase *phase);

void pairs_note(struct pairs *pairs, uint32_t i, const struct phase *system, const struct phase *bare);

/* Both write to the report; pairs_report() sorts the figures. */
void pairs_report(struct report *report, const char *name, struct pairs *pairs, uint32_t count);
void pairs_report_latency(struct report *report, const char *name, const char *what, const struct hist *hist);
