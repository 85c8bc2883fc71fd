/* ring_writer.h — the broker's side of the ring (Hop: D7). See common/shm/SHM.md for layout and memory order.
 *
 * One process writes. Nothing here blocks, and nothing but opening allocates or makes a system call. Order for a
 * state: ring_writer_append(), ring_writer_publish(), lvt_writer_put(), bell_ring().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "errcode.h"
#include "record.h"
#include "topic.h"

struct ring_writer;

struct ring_entry {
    enum record_kind_e kind;
    enum record_dialect_e dialect;
    enum record_origin_e origin_mode;
    struct session_id origin;
    uint64_t wall_ms;   /* shown nowhere; for tools */
    uint64_t source_ns; /* CLOCK_MONOTONIC when the cause became readable at the agent or worker; 0 unknown */
    const struct topic *topics;
    uint32_t topic_count; /* 0 to RECORD_TOPICS_MAX */
    const void *meta;
    uint32_t meta_len;
    const void *frame;
    uint32_t frame_len;
};

/* Attaches to the ring at `path` (parent directory exists), or creates it: a new file under a temporary name, mode
 * 0640, then rename. A file whose magic, version, size or header check does not fit, or whose size differs from
 * `size_bytes`, is marked retired (its readers get GONE) and replaced by a new ring with a new id; *continued is false
 * then and on creation. On re-attachment the writer goes on at the published head; what a killed predecessor had appended
 * and not published is overwritten. size_bytes: a power of two, 1 MiB to 4 GiB. Errors: ERR_SYSTEM (logged), ERR_CONFIG,
 * ERR_MEMORY, ERR_BUSY (another live process holds the writer's lock on the file). */
enum err_e ring_writer_open(const char *path, uint64_t size_bytes, struct ring_writer **writer,
                            bool *continued);
void ring_writer_close(struct ring_writer **writer); /* the file stays */

uint32_t ring_writer_id(const struct ring_writer *writer);   /* RING of RING-N */
uint64_t ring_writer_head(const struct ring_writer *writer); /* end of what is published */
uint64_t ring_writer_next(const struct ring_writer *writer); /* position of the next record to be appended */
uint64_t ring_writer_tail(const struct ring_writer *writer); /* oldest record that is still whole */

/* Writes a record at ring_writer_next(). Not visible before ring_writer_publish(). ERR_TOO_LARGE: over RECORD_MAX.
 * ERR_FULL: more than half of the ring is appended and not published. entry->meta is the struct that record.h names for
 * the kind, of exactly its size. */
enum err_e ring_writer_append(struct ring_writer *writer, const struct ring_entry *entry);

/* Makes everything appended visible: one store of the head (sequentially consistent, for bell_ring()). */
void ring_writer_publish(struct ring_writer *writer);

/* Stores again what somebody else changed in the ring's header; *healed says how many of its words, ring the bell if any: a
 * reader that met a damaged head waits for a sound one. ERR_CORRUPT: the file was cut, so that nothing written can be
 * trusted to be seen; the only remedy is a new ring, that is, a new writer. A few loads and one fstat(). */
enum err_e ring_writer_scrub(struct ring_writer *writer, uint32_t *healed);
