/* ring_page.h — the ring's layout in memory, for its writer, its readers and nobody else. The picture is in SHM.md.
 *
 * File: 64 KiB of header (one size that is a multiple of every Linux page size), then the data area, a power of two.
 * Mapped as header, data, data, so that a record that runs over the end is contiguous. Positions are absolute and only
 * grow; position modulo size is the place.
 *
 * A record is whole 64-byte lines: the header below, then topic hashes (8 bytes each), meta (padded to 8), topic name
 * lengths (1 byte each), topic names, the frame, zeroes up to the line.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "record.h"

#define RING_MAGIC       0x31474e495241524eULL /* "NRARING1" */
#define RING_VERSION     3u
#define RING_DATA_OFFSET 65536u
#define RING_SIZE_MIN    (1ULL << 20)
#define RING_SIZE_MAX    (1ULL << 32)
#define RING_START_BELOW                                                                                     \
    65536u /* a new ring begins this far before its first wrap: bugs there show at once */
#define RING_POSITION_MAX (1ULL << 63) /* no broker starts beyond: nothing in this file can then overflow */

/* Constant for the life of the file. The first 24 bytes and `retired` keep their place in all versions. */
struct ring_identity {
    uint64_t magic, version;
    uint64_t size_bytes; /* of the data area */
    uint64_t id;         /* RING of RING-N; 32 bits, not 0 */
    uint64_t check_seed; /* random, told to nobody: a frame cannot carry bytes that pass for a record */
    uint64_t check;      /* ring_identity_check() */
    uint64_t unused[2];
};

struct ring_page {
    struct ring_identity identity;
    _Alignas(64) _Atomic uint64_t retired; /* SHM_RETIRED: a successor stands, or will, under the name */
    _Alignas(64) _Atomic uint64_t head;    /* end of what is published; as the next two, ring_mark() of it */
    _Alignas(64) _Atomic uint64_t reserve; /* end of what may have been written over; never goes back */
    _Alignas(64) _Atomic uint64_t tail;    /* oldest record that is whole */
};

struct ring_record_header {
    uint64_t position, check;
    uint32_t length; /* of the whole record, a multiple of RECORD_ALIGN */
    uint8_t kind, dialect, origin_mode, topic_count;
    uint32_t frame_len;
    uint16_t meta_len, names_len;
    uint64_t origin_worker, origin_serial, wall_ms, source_ns;
};

_Static_assert(sizeof(struct ring_identity) == 64, "one line");
_Static_assert(offsetof(struct ring_page, retired) == 64, "fixed for all versions");
_Static_assert(offsetof(struct ring_page, head) == 128, "layout version 3");
_Static_assert(offsetof(struct ring_page, reserve) == 192, "layout version 3");
_Static_assert(offsetof(struct ring_page, tail) == 256, "layout version 3");
_Static_assert(sizeof(struct ring_page) <= 4096, "one page");
_Static_assert(sizeof(struct ring_record_header) == RECORD_ALIGN, "one line");
_Static_assert(offsetof(struct ring_record_header, length) == 16, "layout version 3");
_Static_assert(offsetof(struct ring_record_header, frame_len) == 24, "layout version 3");
_Static_assert(offsetof(struct ring_record_header, origin_worker) == 32, "layout version 3");
_Static_assert(sizeof(struct record_state) == 48 && sizeof(struct record_outcome) == 24 &&
                   sizeof(struct record_stream) == 16,
               "meta, layout version 3");
_Static_assert(RECORD_MAX % RECORD_ALIGN == 0 && RECORD_MAX * 2 < RING_SIZE_MIN,
               "records fit a ring of least size");

/* A mapping of the file. */
struct ring_map {
    struct ring_page *page;
    _Atomic uint64_t *data;        /* size_bytes, twice */
    struct ring_identity identity; /* a validated copy */
};

/* Positions in the page carry a check in the six bits that are 0 in every position: no one flipped bit passes, because no power
 * of 2 is a multiple of 61. A word of zeroes does not pass either. */
static inline uint64_t ring_mark(uint64_t position)
{
    return position | (1 + position / RECORD_ALIGN % 61);
}

static inline bool ring_unmark(uint64_t word, uint64_t *position)
{
    uint64_t at = word & ~(uint64_t)(RECORD_ALIGN - 1);
    if (word != ring_mark(at))
        return false;
    *position = at;
    return true;
}

uint64_t ring_identity_check(const struct ring_identity *identity);
bool ring_size_valid(uint64_t size_bytes);

/* The length of the mapping, and the file's. */
static inline uint64_t ring_map_bytes(uint64_t size_bytes)
{
    return RING_DATA_OFFSET + 2 * size_bytes;
}

static inline uint64_t ring_file_bytes(uint64_t size_bytes)
{
    return RING_DATA_OFFSET + size_bytes;
}

static inline _Atomic uint64_t *ring_word(const struct ring_map *map, uint64_t position)
{
    return map->data + (position & (map->identity.size_bytes - 1)) / 8;
}

/* Bytes of a record with these sections. No overflow for values that fit their header fields. */
uint64_t ring_record_bytes(uint32_t topic_count, uint32_t meta_len, uint32_t names_len, uint32_t frame_len);

/* The check of `length` bytes of a record at `words`, whose check word is 0. */
uint64_t ring_record_check(const uint64_t *words, uint32_t length, uint64_t seed);

/* How many bytes of meta a record of this kind has. */
uint32_t ring_meta_bytes(enum record_kind_e kind);
