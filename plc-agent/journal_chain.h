/* journal_chain.h — one chain of the journal on its disk: segments, their end, what of it is safe (Hop: C5).
 *
 *     put ──▶ lines in memory ── write ──▶ the kernel's ── sync ──▶ the disk's
 *                                  │
 *              settle: everything so far may be relied on; open() later cuts off whatever is beyond
 *
 * - A segment is full at a quarter of the chain's limit, at most JOURNAL_SEGMENT_BYTES, or when it is a sixteenth of keep_ms
 *   old. The one before is synced before the next is made, so that no hole can come into the chain; the name of the new one
 *   is synced with its first sync.
 * - Only whole oldest segments are removed: as many as the limit asks for, and for age one with each new segment, so that a
 *   clock that stands wrong for a while cannot cost the whole trail.
 * - Broken chain (journal_files.h): the file stays as it is, for people; the next segment goes on from the last good record.
 * - After a failed sync the kernel may believe pages to be clean that never reached the disk (fsyncgate, LWN 752063): open()
 *   writes everything since the last good sync again, in place, before it syncs anew.
 *
 * Synchronous and without a thread, so that a test can cut the power between any two calls of the disk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "journal_disk.h"
#include "journal_memory.h"

#define JOURNAL_SEGMENT_BYTES (4u << 20)
#define JOURNAL_CHAIN_MIN     (64u * 1024) /* the smallest limit of a chain */

struct journal_place { /* after a record */
    uint64_t n;
    uint8_t hash[JOURNAL_HASH];
    bool latched;
};

struct journal_chain {
    enum journal_chain_e chain;
    const struct journal_disk *disk;
    struct journal_segments
        *segments; /* the last is being written; belongs to the store, as the reader does */
    struct journal_reader *reader;
    uint64_t limit, segment_limit, keep_ms;
    char boot[JOURNAL_BOOT_MAX + 1];
    char plc[JOURNAL_PLC_MAX + 1];
    struct journal_place head, settled;
    bool opened;     /* once: `settled` is true */
    int handle;      /* -1: the next record makes a segment */
    uint32_t number; /* of the segment that was written last */
    uint64_t begun_wall_ms;
    uint64_t written, synced; /* bytes of the segment */
    bool named;               /* its name is on the disk */
    size_t fill;
    char why[200];  /* of the last failure */
    char note[200]; /* what was found amiss and went on; the caller empties it */
    char lines[32 * 1024];
};

void journal_chain_init(struct journal_chain *chain, enum journal_chain_e which,
                        const struct journal_disk *disk, struct journal_segments *segments,
                        struct journal_reader *reader, uint64_t limit, uint64_t keep_ms);

/* All return false with `why`; then only open() makes sense. open() reads what the files hold (`segments` was listed anew), cuts
 * off what was not settled, and takes records again. `memory`: gets what it reads; NULL after the first time. */
bool journal_chain_open(struct journal_chain *chain, const char *boot, const char *plc,
                        struct journal_memory *memory);
bool journal_chain_put(struct journal_chain *chain, const struct journal_record *record); /* n is the next */
bool journal_chain_write(struct journal_chain *chain);
bool journal_chain_sync(struct journal_chain *chain); /* writes before; nothing to do if all is synced */
void journal_chain_settle(struct journal_chain *chain);
void journal_chain_close(struct journal_chain *chain);
