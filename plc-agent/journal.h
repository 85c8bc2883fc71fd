/* journal.h — what this agent promises to remember: notes on its own disk, each safe before anybody acts on it (Hop: C5, R1).
 *
 *     queue, uplink ── append ──▶ lines in memory ──▶ a thread: write(2), fdatasync(2) ──▶ STATE_DIR/agents/MACHINE/
 *                   ◀── settled ──────────────────────┘
 *
 * Disks stall, for seconds when they die; an agent that waited for one would show its machine `stale`. So a thread of its
 * own does everything that touches the disk, and the loop goes on polling. It takes whatever has gathered as one batch
 * (group commit), and says `settled` with the number of the last record in it:
 *
 *     JOURNAL_DURABLE   settled when it is on the disk (a power cut cannot take it away)
 *     JOURNAL_WRITTEN   settled when the kernel has it (kill -9 cannot); on the disk a second later
 *
 * Rules of its users: a command's INTENT is settled before the first byte goes to the PLC; what a client is told is settled
 * before the outcome leaves for the broker. Records settle in the order in which they were appended, over both chains.
 *
 * A journal that cannot be written (disk full, I/O error, no permission, another agent holds it) is *down*: append returns
 * 0, and what was appended and is not safe settles with ok = false. Its users then refuse whatever would be written to the
 * PLC (INTERNAL_ERROR, which names the reason); states and readings go on. It is tried again every JOURNAL_RETRY_NS, by
 * reading back what the files really hold. Down is logged once, and counted.
 *
 * One agent per journal: the directory is locked (flock) as long as the process lives, so that two agents of one machine
 * cannot both believe that they know what was written. All disk operations go through `struct journal_disk`, so that a test
 * can cut the power between any two of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "journal_record.h"
#include "loop.h"

#define JOURNAL_RETRY_NS (1 * 1000000000ULL)
#define JOURNAL_ROOM     512 /* records that may wait for the disk */

#define JOURNAL_REMEMBER    1024
#define JOURNAL_REMEMBER_NS (600 * 1000000000ULL)

struct journal;
struct journal_disk; /* journal_disk.h */

enum journal_safety_e { JOURNAL_WRITTEN, JOURNAL_DURABLE };

struct journal_events {
    /* Every record up to the one that append() numbered `upto` is as safe as it was asked to be; ok = false: it is not
     * known to be, and will not be. From the loop, never from within append(). */
    void (*settled)(void *arg, uint64_t upto, bool ok);
    /* It is up (for the first time, or again) or down; `why` is a text for people while it is down, "DIRECTORY: …"; again
     * when that changes. Down is said before what it lost settles. From the loop. Before the first `up`, `replay` was called for what is remembered: per chain in the order of the records, commands before
     * refusals; the last JOURNAL_REMEMBER_NS, at most JOURNAL_REMEMBER of each chain, and what is still open (an INTENT without
     * RESULT, a move's RESULT without COMPLETION) however old. Each chain begins with a SEGMENT (its `latched`: how the latch
     * stood before the records that follow). Times of an earlier boot are shifted by the wall clock to this boot's
     * CLOCK_MONOTONIC, not below 1. `elsewhere`: it was noted by an agent whose PLC had another address than ours. */
    void (*replay)(void *arg, const struct journal_record *record);
    void (*state)(void *arg, bool up, const char *why);
};

struct journal_config {
    struct loop *loop;
    const char *directory; /* STATE_DIR/agents/MACHINE; made if need be, mode 0750 */
    const char *plc;       /* its address, as START and SEGMENT tell it; NULL: not told */
    uint64_t incarnation;
    uint64_t keep_bytes; /* of both chains */
    uint64_t keep_ms;
    const struct journal_disk *disk; /* NULL: the real one */
    const struct journal_events *events;
    void *arg;
};

struct journal_counts {
    uint64_t records, failures, sync_us; /* failures: also of trying again; sync_us: the last sync */
};

/* Starts the thread, which opens the directory; `state` tells how that went. ERR_MEMORY, ERR_SYSTEM (no thread). */
enum err_e journal_new(const struct journal_config *config, struct journal **journal);
/* Not from an event of the journal's. Lets the thread finish what it has, at most a second; what a hung disk holds longer is left to the process's end. */
void journal_free(struct journal **journal);

/* Notes the record (n, wall_ms and mono_ns are filled in; START and SEGMENT are the journal's own); it is copied. Returns
 * the number that `settled` will name, from 1 on, over both chains; 0: down, or no room (journal_room()). Does not block. In
 * a TOLD, `upto` is such a number too, or 0 for everything that was replayed; the journal notes it as the chain's n. */
uint64_t journal_append(struct journal *journal, const struct journal_record *record,
                        enum journal_safety_e safety);
size_t journal_room(const struct journal *journal); /* records that append() takes now; 0 while down */

/* Whatever this machine's agents noted in `commands` since then (monotonic) is remembered, and was replayed: the later of
 * JOURNAL_REMEMBER_NS ago, the beginning of the journal, and the newest record that fell to JOURNAL_REMEMBER. */
uint64_t journal_since_ns(const struct journal *journal);

const struct journal_counts *journal_counts(const struct journal *journal);
