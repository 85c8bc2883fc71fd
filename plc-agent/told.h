/* told.h — up to where the broker has heard what the journal holds (Hop: R1). Pure.
 *
 * Acknowledged outcomes become TOLD notes, one for many, so that the next agent does not report them again. What was
 * recovered from the journal counts together: only when the broker has all of a chain is the chain's replayed part told.
 * Telling too little does no harm: the broker knows the key of what it hears twice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "outcome.h"

struct told {
    size_t recovered[JOURNAL_CHAINS]; /* reported again, not acknowledged yet */
    uint64_t upto[JOURNAL_CHAINS];    /* number of the last acknowledged note; 0: what was replayed */
    bool due[JOURNAL_CHAINS];
};

void told_reported(struct told *told, const struct outcome *outcome);
void told_acked(struct told *told, const struct outcome *outcome);
/* True: a TOLD of this chain is due, with *record filled in. told_done() once it is noted. */
bool told_due(const struct told *told, enum journal_chain_e chain, struct journal_record *record);
void told_done(struct told *told, enum journal_chain_e chain);
