/* ring_reader.h — a worker's side of the ring (Hop: D8). See common/shm/SHM.md.
 *
 * The mapping is read-only and its content is not trusted: a record is copied out word by word, then checked against
 * a lap and against its own check, and only the copy is used. A reader can be lapped at any time and never blocks the
 * writer. Nothing here makes a system call but opening.
 */
#pragma once

#include <stdint.h>

#include "errcode.h"
#include "record.h"

struct ring_reader;

enum ring_status_e {
    RING_MORE,  /* a record was returned; the reader stands behind it */
    RING_EMPTY, /* nothing newer than the reader's position */
    RING_LAPPED, /* the writer overtook this reader: it was moved to the head; frames in between are lost to it */
    RING_CORRUPT, /* a record failed its check, and is lost: moved to the next whole one, or to the head */
    RING_GONE /* the file was retired and everything in it was read, or it was cut: close, open again by name */
};

struct ring_topic {
    uint64_t hash;
    const char *name;
    uint8_t len;
};

/* A validated private copy; its pointers are good until the next call on the same reader. */
struct ring_record {
    uint64_t position;
    enum record_kind_e kind;
    uint8_t dialect; /* enum record_dialect_e, or one this build does not know */
    enum record_origin_e origin_mode;
    struct session_id origin;
    uint64_t wall_ms, source_ns;
    uint32_t topic_count;
    struct ring_topic topics[RECORD_TOPICS_MAX];
    const void *meta; /* 8-byte aligned */
    uint32_t meta_len;
    const void *frame;
    uint32_t frame_len;
};

/* Opens read-only, positioned at the head. ERR_NOT_FOUND (also for a retired ring whose successor has not taken its
 * name yet), ERR_SYSTEM, ERR_MEMORY, ERR_VERSION, ERR_MALFORMED; ERR_CORRUPT: damaged just now, try again. */
enum err_e ring_reader_open(const char *path, struct ring_reader **reader);
void ring_reader_close(struct ring_reader **reader);

uint32_t ring_reader_id(const struct ring_reader *reader);
/* A damaged word of the ring's header reads as its last sound value, and is counted. */
uint64_t ring_reader_head(struct ring_reader *reader); /* acquire */
uint64_t ring_reader_tail(struct ring_reader *reader); /* oldest whole record, by the writer's word */
uint64_t ring_reader_damaged(const struct ring_reader *reader);  /* how often such a word was met */
uint64_t ring_reader_position(const struct ring_reader *reader); /* of the next record it will return */

enum ring_status_e ring_reader_next(struct ring_reader *reader, struct ring_record *record);

/* Moves to `position`. ERR_NOT_FOUND if no record starts there any more (or ever did); the head itself is allowed. */
enum err_e ring_reader_seek(struct ring_reader *reader, uint64_t position);
