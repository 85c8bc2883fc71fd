/* latch.h — after an emergency stop, no move until somebody has looked and said so (Hop: C5). Pure.
 *
 *     a reading says MEANING_ESTOP ──▶ set ── COMMAND_REARM, by a reading that says it no more ──▶ lifted
 *
 * A stop is released at the machine by whoever stands there; a warehouse program elsewhere would at once send the next move.
 * So it takes a word of its own to let moves through again. `rearm: automatic` has no latch. The latch is noted when it is
 * set and when it is lifted, and stands in the head of every file of the journal (journal_record.h), so that it outlives the agent,
 * also if the next one reads a PLC at another address: it is the machine's, and only a rearm lifts it.
 * What this agent saw itself is newer than what a journal says that could be read only later.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profile.h"

#define LATCH_TEXT "emergency stop: not rearmed"

struct latch {
    bool manual; /* rearm: manual */
    bool set;
    bool lived; /* set or lifted by this agent */
};

/* True: the latch is set by this reading, and was not before. */
bool latch_reading(struct latch *latch, const struct profile *profile, uint8_t raw);
/* True: it was set, and is lifted. */
bool latch_lift(struct latch *latch);
/* What the journal says, when it was replayed. */
void latch_recover(struct latch *latch, bool set);
