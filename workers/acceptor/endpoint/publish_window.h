/* publish_window.h — what this worker has published and not yet read in the ring (Hop: C3).
 *
 *      first                       unsent                 end
 *        │  sent, not yet in the ring  │  to be sent         │
 *        ▼ ┌─────┬─────┬─────┬─────┐   ▼ ┌─────┬─────┐       ▼
 *          │ 117 │ 118 │ 119 │ 120 │─────│ 121 │ 122 │            numbers without gaps; blocks of PUBLISH_BLOCK bytes
 *          └─────┴─────┴─────┴─────┘     └─────┴─────┘
 *
 * The ring is the acknowledgement: who reads his own number there drops it and everything before it, because the broker
 * publishes a worker's messages in their order. After a HELLO_OK, by whatever broker, everything that is left goes again.
 *
 * Entries lie whole in blocks that are made when needed and freed when read past; one is kept. A worker that never
 * publishes has none, one that did has one. The hard bound counts blocks, so it is one of memory; the soft mark counts
 * entries. Rejected: one ring of 4 MiB (resident for good after the first broker's death; entries that must not wrap).
 *
 * Pure: no clock, no I/O. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

#define PUBLISH_SOFT_BYTES (1024u * 1024u)     /* above this, senders are held */
#define PUBLISH_HARD_BYTES (4u * 1024u * 1024) /* of blocks */
#define PUBLISH_BLOCK      (64u * 1024u)       /* a larger entry has a block of its size */

struct publish_entry {
    uint64_t seq, session_serial, source_ns;
    uint64_t sent_ns; /* to the present broker; 0: not yet */
    uint32_t topics_len, payload_len;
    uint16_t dialect; /* enum record_dialect_e */
    bool echo, binary;
    unsigned char bytes[]; /* topics (wire.h), then the payload; the caller fills them in */
};

static inline unsigned char *publish_entry_payload(struct publish_entry *entry)
{
    return entry->bytes + entry->topics_len;
}

struct publish_block;

struct publish_place {
    struct publish_block *block;
    size_t at; /* in its bytes; where they end, the next one is the next block's first */
};

/* All zero: empty, and the first number will be 1. */
struct publish_window {
    struct publish_block *first, *last, *spare;
    size_t first_at;             /* of the oldest entry in the first block */
    struct publish_place unsent; /* block NULL: everything was sent */
    uint64_t gone_seq, last_seq; /* numbers in between are here, the second included */
    size_t bytes, block_bytes;   /* of entries, of blocks (the spare one not) */
};

void publish_window_fini(struct publish_window *window);

/* A new entry at the end, numbered, unsent; valid until it is acknowledged or dropped. ERR_FULL, ERR_MEMORY. */
enum err_e publish_window_add(struct publish_window *window, uint32_t topics_len, uint32_t payload_len,
                              struct publish_entry **entry);

/* How many entries wait, and the oldest; NULL: none. */
uint64_t publish_window_count(const struct publish_window *window);
struct publish_entry *publish_window_oldest(const struct publish_window *window);

/* The first one that was not sent yet; NULL: none. */
struct publish_entry *publish_window_unsent(struct publish_window *window);
/* That one was sent. */
void publish_window_sent(struct publish_window *window, uint64_t now_ns);
/* A new broker: nothing was sent to it. Returns how many had been sent to another. */
uint64_t publish_window_rewind(struct publish_window *window);

/* This number was read in the ring: it goes, and everything before it. Returns how many that were. Numbers that are
 * not here (gone already, or never given out: the ring is not trusted) are nothing. */
uint64_t publish_window_acknowledged(struct publish_window *window, uint64_t seq);
/* Those that were sent at `before_ns` or earlier are given up; returns how many. */
uint64_t publish_window_give_up(struct publish_window *window, uint64_t before_ns);
