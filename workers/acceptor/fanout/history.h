/* history.h — the frames that are never merged, for clients that come back or lag (Hops: D8, R4).
 *
 *     tail ─▶ entry: position, topics ─▶ copy of the frame     the last HISTORY_COPY_BYTES of them, once per worker
 *                          └──────────▶ the ring itself        while it holds the record and the copy is gone
 *
 * One entry per result, completion, event and machine record that has audiences, in ring order, so that ten thousand
 * clients that resume at once cost a binary search and a few entries each instead of a scan of the ring. The ring
 * gives up its records at the pace of everything that is published, states above all; the copies keep these few frames
 * as long as frames of their own kind leave them room. An entry is held while either has its frame.
 *
 * Entries have running numbers that are never used again; tail <= number < head is held.
 *
 * Rejected: a copy per audience (the same bytes ten thousand times), only the ring (a client that reads slowly would lose
 * its one result to the flood of states), reading the ring backwards (records have no back link).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "ring_reader.h"

#define HISTORY_COPY_BYTES  (8u * 1024u * 1024u) /* made with the first frame */
#define HISTORY_ENTRIES_MAX (1u << 20)

struct history_entry;

struct history {
    struct ring_reader *ring; /* one of its own: reading back does not move the tail */
    struct history_entry *entries;
    uint32_t cap;
    uint64_t tail, head;
    uint64_t known_from; /* frames that stood before this position may be unknown or forgotten */
    unsigned char *copies;
    uint64_t copy_head;
};

/* One held frame. */
struct history_frame {
    uint64_t position;
    uint8_t dialect;
    bool lasting; /* its bytes are good until the next history_add(); else until the next history_read() */
    uint32_t topic_count;
    struct ring_topic topics[RECORD_TOPICS_MAX];
    const void *bytes;
    uint32_t len;
};

/* Topics by hash, sorted. */
struct history_filter {
    const uint64_t *hashes;
    uint32_t count;
    uint8_t dialect;
};

void history_init(struct history *history);
void history_fini(struct history *history);

/* Opens the ring and takes in what stands before `until`, where the tail begins to read. Errors as of
 * ring_reader_open(); ERR_MISMATCH: another ring stands there now. Forgets everything from before in any case, entries' numbers
 * go on. */
enum err_e history_attach(struct history *history, const char *ring_path, uint32_t ring_id, uint64_t until);

/* Is the record one that clients may ask for later? */
bool history_keeps(const struct ring_record *record);
/* Takes it in and returns its number; UINT64_MAX: out of memory, it counts as forgotten. */
uint64_t history_add(struct history *history, const struct ring_record *record);
/* The tail missed what stands before `position`. */
void history_missed(struct history *history, uint64_t position);

/* Number of the first held entry at or behind `position`; `head` if there is none. */
uint64_t history_find(struct history *history, uint64_t position);
/* Number of the first held entry. */
uint64_t history_tail(struct history *history);
/* Number of the first entry in [number, to) that may have one of the topics (its frame tells for sure); *found false:
 * none, and the number is `to` or `head`. number >= tail. */
uint64_t history_match(const struct history *history, uint64_t number, uint64_t to,
                       const struct history_filter *filter, bool *found);
bool history_filter_has(const struct history_filter *filter, uint64_t hash);
/* Of a held entry. */
uint64_t history_position(const struct history *history, uint64_t number);
uint8_t history_dialect(const struct history *history, uint64_t number);
/* False: neither copy nor ring has it any more. */
bool history_read(struct history *history, uint64_t number, struct history_frame *frame);
