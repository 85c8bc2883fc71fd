/* journal_memory.h — of the records of a chain, those that an agent's successor must know (Hop: C5).
 *
 *     records, oldest first ──▶ │ the last JOURNAL_REMEMBER_NS, at most JOURNAL_REMEMBER results │ ──▶ array
 *                    fall out ──┘ and leave behind: how the latch stood, the last TOLD, an INTENT without RESULT, a move's
 *                                 RESULT without COMPLETION
 *
 * Times become this boot's CLOCK_MONOTONIC: as they are within one boot, else by the wall clock, and never below 1. A wall
 * clock that was set back makes a record look younger, and it is remembered longer, which is the safe side.
 *
 * Whose PLC: START and SEGMENT name the address that what follows them went to. What went to another one than this agent's
 * is marked `elsewhere`: this agent's readings say nothing about it. An address that is not told (an older journal) counts as
 * the same. Addresses are compared as they are configured; what a name resolves to is not looked at.
 *
 * Two of a chain's newest segments are enough to feed it: a command leaves at most four records (INTENT, RESULT, COMPLETION,
 * TOLD) of some 450 bytes, so JOURNAL_REMEMBER commands are 2 MiB, and a segment is 4 MiB (with keep_mib at its minimum 3).
 * Pure; reads no clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal.h"

#define JOURNAL_MEMORY_RECORDS 8192 /* whatever they are */

struct journal_now {
    uint64_t wall_ms, mono_ns;
};

struct journal_memory {
    struct journal_now now;
    char boot[JOURNAL_BOOT_MAX + 1];                                 /* this one */
    char boot_written[JOURNAL_BOOT_MAX + 1];                         /* that of the records that come now */
    char plc[JOURNAL_PLC_MAX + 1], plc_written[JOURNAL_PLC_MAX + 1]; /* likewise; "": not told */
    struct journal_record *ring;
    size_t first, count, cap, results;
    bool failed; /* out of memory: what there is is not all */
    uint64_t since_ns;
    /* What fell out */
    bool begun;
    struct journal_record segment;            /* with the latch as it stood */
    struct journal_record told, intent, move; /* event NONE: there is none */
};

void journal_memory_init(struct journal_memory *memory, const struct journal_now *now, const char *boot,
                         const char *plc);
void journal_memory_fini(struct journal_memory *memory);

/* The next record, as the file has it. */
void journal_memory_take(struct journal_memory *memory, const struct journal_record *record);
/* The chain is broken after what was taken: nothing of it can be relied on but a latch that was set. */
void journal_memory_broken(struct journal_memory *memory);

/* What is to be replayed, in order; the caller frees it. False: out of memory. */
struct journal_replay {
    struct journal_record *records;
    size_t count;
    uint64_t since_ns;
};
bool journal_memory_end(struct journal_memory *memory, struct journal_replay *replay);
