/* lvt_page.h — the last-value table's layout in memory, for its writer and readers. The picture is in SHM.md.
 *
 * File: one page of header, then `capacity` slots of 2 KiB, sparse: a slot that was never written costs no memory, as
 * long as nobody touches it (reading a hole of a tmpfs file allocates it), so readers stay below `used`.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lvt_layout.h"

#define LVT_MAGIC        0x3154564c4152524eULL /* "NRRALVT1" */
#define LVT_VERSION      2u
#define LVT_SLOTS_OFFSET 4096u
#define LVT_SLOT_BYTES   2048u
#define LVT_CAPACITY_MAX (1u << 20)

struct lvt_identity {
    uint64_t magic, version;
    uint64_t size_bytes; /* of the file */
    uint64_t capacity;   /* slots */
    uint64_t ring_id;
    uint64_t check; /* lvt_identity_check() */
    uint64_t unused[2];
};

struct lvt_page {
    struct lvt_identity identity;
    _Alignas(64) _Atomic uint64_t retired; /* as in ring_page.h, at the same place */
    _Alignas(64) _Atomic uint64_t used;    /* lvt_used_encode() of the first slot that was never written */
    _Alignas(
        64) _Atomic uint64_t settled; /* ring_mark(): slots show every state whose record lies before it */
};

/* A slot's content as bytes; only those up to the end of the text are stored. */
struct lvt_body {
    uint32_t slot; /* its own number */
    uint32_t text_len;
    uint64_t agent_gen, record_position, read_wall_ms;
    uint16_t port;
    uint8_t connection, has_reading, raw_status, position, simulator, zero;
    char id[MACHINE_ID_MAX + 1], name[MACHINE_NAME_MAX + 1], ip[MACHINE_HOST_MAX + 1];
    char text[MACHINE_TEXT_MAX];
};

#define LVT_BODY_WORDS (sizeof(struct lvt_body) / 8)

/* The upper 16 bits of a slot's sequence, else 0: its machine is leaving. Readers see an empty slot, the writer still what
 * it held. A pattern, so that no flipped bit makes a machine leave. */
#define LVT_LEAVING      (0xa5c3ULL << 48)
#define LVT_LEAVING_MASK (0xffffULL << 48)

/* The slot. `length` is the number of body words, 0 for an empty slot; `check` covers length and body. */
struct lvt_slot {
    _Atomic uint64_t sequence; /* odd while it is written; LVT_LEAVING */
    _Atomic uint64_t check;
    _Atomic uint64_t length;
    _Atomic uint64_t body[LVT_BODY_WORDS];
};

_Static_assert(sizeof(struct lvt_identity) == 64, "one line");
_Static_assert(offsetof(struct lvt_page, retired) == 64, "fixed for all versions");
_Static_assert(offsetof(struct lvt_page, used) == 128, "layout version 2");
_Static_assert(offsetof(struct lvt_page, settled) == 192, "layout version 2");
_Static_assert(sizeof(struct lvt_page) <= LVT_SLOTS_OFFSET, "one page");
_Static_assert(sizeof(struct lvt_body) % 8 == 0, "whole words");
_Static_assert(offsetof(struct lvt_body, port) == 32 && offsetof(struct lvt_body, id) == 40,
               "layout version 2");
_Static_assert(sizeof(struct lvt_slot) <= LVT_SLOT_BYTES, "a body fits its slot");

uint64_t lvt_identity_check(const struct lvt_identity *identity);

/* A mapping of the file. */
struct lvt_map {
    struct lvt_page *page;
    struct lvt_identity identity; /* a validated copy */
};

static inline struct lvt_slot *lvt_slot_at(const struct lvt_map *map, uint32_t slot)
{
    return (struct lvt_slot *)(void *)((char *)map->page + LVT_SLOTS_OFFSET +
                                       (uint64_t)slot * LVT_SLOT_BYTES);
}

static inline uint64_t lvt_file_bytes(uint64_t capacity)
{
    return LVT_SLOTS_OFFSET + capacity * LVT_SLOT_BYTES;
}

/* Slot and machine, both ways. lvt_body_pack() returns the words used; lvt_body_unpack() refuses what no writer packs. */
uint64_t lvt_body_pack(struct lvt_body *body, uint32_t slot, const struct lvt_machine *machine);
bool lvt_body_unpack(const struct lvt_body *body, uint64_t words, uint32_t slot, struct lvt_machine *machine);
/* 0 for 0 words, so that a slot of zeroes (allocated, never written) is a sound empty one. */
uint64_t lvt_body_check(const struct lvt_body *body, uint64_t words, const struct lvt_identity *identity);

/* `used` carries its own complement; if a flipped bit breaks that, all slots are looked at. */
uint64_t lvt_used_encode(uint32_t used);
uint32_t lvt_used_get(const struct lvt_page *page, const struct lvt_identity *identity);

enum lvt_copy_e { LVT_COPY_OK, LVT_COPY_EMPTY, LVT_COPY_LEAVING, LVT_COPY_BUSY, LVT_COPY_CORRUPT };
/* Reads a slot under its sequence lock: a bounded number of attempts. *machine is set if OK or LEAVING. */
enum lvt_copy_e lvt_slot_read(const struct lvt_slot *at, uint32_t slot, const struct lvt_identity *identity,
                              struct lvt_machine *machine);
/* For the writer alone: the description that an emptied slot's words still hold, if they can be one. */
bool lvt_slot_remains(const struct lvt_slot *at, struct machine_info *info);
