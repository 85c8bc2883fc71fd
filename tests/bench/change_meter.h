/* change_meter.h — changes of a simulated machine, one at a time, and when each client saw them (Hops: D1 to D11).
 *
 *     change_make(): plc-sim stands elsewhere ─▶ the agent's next poll reads it ─▶ … ─▶ every client of the fleet has the frame
 *     change_match(): simulator's log (asked, answered) against what the generator noted (first, last client); CLOCK_MONOTONIC
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench_hist.h"
#include "fleet.h"
#include "rig.h"
#include "sim_link.h"

#define CHANGES_MAX 16384u

enum change_span_e { ASKED_TO_FIRST, ASKED_TO_LAST, ANSWERED_TO_FIRST, ANSWERED_TO_LAST, CHANGE_SPANS };

struct change_meter {
    const struct rig *rig;
    const struct fleet *fleet; /* one generator process, with log_events */
    uint32_t clients;
    uint32_t made;                          /* changes so far */
    uint32_t event;                         /* next one to match */
    size_t change;                          /* of the simulator's log, likewise */
    struct sim_change changes[CHANGES_MAX]; /* the log */
};

/* False: it did not reach every client in time, or the simulator did not answer. */
bool change_make(struct change_meter *meter);

/* Adds what was made since the last call to the histograms; returns how many of them were found in the log. */
uint32_t change_match(struct change_meter *meter, struct hist hists[CHANGE_SPANS]);
