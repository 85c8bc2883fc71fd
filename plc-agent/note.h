/* note.h — between a command as the agent knows it and its lines in the journal (Hop: C5, R1). Pure.
 *
 * An outcome is what clients are told. The evidence is what is noted beside it, for the audit and for the agent that comes
 * next: who asked and from where, when, and what the PLC said before and after.
 */
#pragma once

#include "driver.h"
#include "image.h"
#include "journal_record.h"
#include "outcome.h"

struct evidence {
    char who[JOURNAL_WHO_MAX + 1], from[JOURNAL_WHO_MAX + 1];
    uint64_t arrived_ns, arrived_wall_ms;
    int64_t deadline_ms; /* from arrival */
    struct journal_reading before, after;
    uint64_t written_ns; /* 0: not written */
    bool reconciled;
};

struct journal_reading note_image(const struct image *image); /* the last reading */
struct journal_reading note_reply(const struct driver_answer *reply);

/* INTENT, RESULT, COMPLETION or REARMED. */
struct journal_record note_record(enum journal_event_e event, enum journal_chain_e chain,
                                  const struct outcome *outcome, const struct evidence *evidence);

/* Back again, from a replayed INTENT, RESULT or COMPLETION. Times that a wall clock has put after `now_ns` are `now_ns`. */
struct outcome note_outcome(const struct journal_record *record, uint64_t now_ns);
struct evidence note_evidence(const struct journal_record *record, uint64_t now_ns);
