/* owed.h — what the journal must still get: the few notes without which the next agent would be misled (Hop: C5, R1).
 *
 * While the journal is down nothing is written to the PLC, but what was written before goes on: its result, its completion, an
 * emergency stop, a rearm. They are told all the same (a client must not wait for a disk), and kept here until the
 * journal has taken them and said that they are safe. A note that failed may stand in the file all the same; then it
 * stands there twice, with the same content. Bounded: at most one command's result, one move's completion and the latch
 * can be owed; the latest word on the latch replaces the earlier one. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal_record.h"

#define OWED_MAX 6

struct owed {
    size_t count;
    struct {
        uint64_t number; /* 0: the journal does not have it */
        struct journal_record record;
    } of[OWED_MAX];
};

/* The journal took it as `number`, or did not (0). Full: the oldest is given up for this one. */
void owed_add(struct owed *owed, uint64_t number, const struct journal_record *record);
void owed_settled(struct owed *owed, uint64_t upto, bool ok);

/* Offers each that the journal does not have; `note` returns its number, or 0. */
typedef uint64_t owed_note_f(void *arg, const struct journal_record *record);
void owed_offer(struct owed *owed, owed_note_f *note, void *arg);
