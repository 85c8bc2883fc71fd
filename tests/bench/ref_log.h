/* ref_log.h — the one order in which state frames arrive, learnt from whichever connection sees each frame first.
 *
 * Every client of one audience must receive the same frames in the same order. So the first connection that sees a
 * frame has it parsed and appended here (its `seq`, machine and counter, and when the source sent it); all others only
 * compare its length and last 16 bytes, which hold the `seq`, with the entry that must come next. A frame that any
 * connection misses is a gap; one that nobody ever got is found by the running number that the source noted for its
 * (machine, position, raw_status) in source_table.h. That is exact over millions of deliveries per second without parsing JSON.
 *
 * Stream messages (stream_text.h) carry both in their own text: its last 16 bytes are the running number, which is the order, too.
 *
 * Rejected: parsing `seq` of every frame (10 ns each is half of the generator's budget), and comparing totals only (a
 * frame delivered twice hides one that was lost).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "errcode.h"
#include "source_table.h"

#define REF_CAP      (1u << 17) /* frames remembered; a connection further behind than that counts as gapped */
#define REF_TAIL     16u
#define REF_MACHINES 4096u
#define REF_NOWHERE  UINT64_MAX

/* Where a connection stands. A snapshot may be ahead of every frame seen so far, so what it covers is kept as a `seq`,
 * and turned into an index only when the connection's next frame comes. */
struct ref_cursor {
    uint64_t index;       /* of the frame that must follow; REF_NOWHERE: any */
    uint64_t complete_to; /* `seq` of the last snapshot that moved it; 0: none since */
};
#define REF_CURSOR_START ((struct ref_cursor){REF_NOWHERE, 0})

enum ref_text_e {
    REF_STATES, /* frames of the carousel dialect */
    REF_STREAM  /* messages of one sender */
};

struct ref {
    unsigned char tail[REF_TAIL];
    uint64_t seq;       /* N of RING-N; a stream message's number */
    uint64_t source_ns; /* 0: unknown */
    uint32_t len, seen;
    uint32_t machine;
    uint8_t raw, position;
};

struct ref_log {
    enum ref_text_e text;
    struct ref *refs;
    uint64_t head;                    /* number of frames appended; the next one's index */
    const struct source_table *table; /* NULL: unknown when and what was sent */
    uint64_t next[REF_MACHINES];      /* number that must follow; 0: none seen yet */
    uint64_t lost;                    /* numbers that no connection ever saw */
};

enum ref_kind_e {
    REF_NEW,      /* appended: this connection is the first to see it */
    REF_KNOWN,    /* where it must be, or behind `skipped` others */
    REF_SNAPSHOT, /* several machines: the connection goes on behind it */
    REF_OLD,      /* at or before the cursor: a repetition or out of order */
    REF_OTHER     /* neither state frame nor stream message */
};

struct ref_place {
    enum ref_kind_e kind;
    struct ref *ref;  /* of REF_NEW and REF_KNOWN */
    uint64_t skipped; /* frames between the cursor and this one: missed */
    uint64_t covered; /* frames that a snapshot gave instead */
};

enum err_e ref_log_init(struct ref_log *log, enum ref_text_e text,
                        const struct source_table *table); /* ERR_MEMORY */
void ref_log_fini(struct ref_log *log);

/* The fast path: the frame is the one that must follow; the cursor moves on. NULL: ask ref_log_place(). */
static inline struct ref *ref_log_follow(struct ref_log *log, struct ref_cursor *cursor,
                                         const unsigned char *payload, size_t len)
{
    if (cursor->index >= log->head)
        return NULL;
    struct ref *ref = &log->refs[cursor->index % REF_CAP];
    if (ref->len != len || memcmp(ref->tail, payload + len - REF_TAIL, REF_TAIL) != 0)
        return NULL;
    cursor->index++;
    cursor->complete_to = 0;
    return ref;
}

/* Where the frame belongs; moves the cursor behind it (a cursor of REF_NOWHERE starts there, with nothing skipped). */
struct ref_place ref_log_place(struct ref_log *log, struct ref_cursor *cursor, const unsigned char *payload,
                               size_t len);

/* What a state frame of one machine says, or a stream message; false if it is none. */
struct ref_state {
    uint64_t seq, source_ns; /* source_ns: of a stream message */
    uint32_t machine;        /* digits at the end of its id */
    uint8_t raw, position;
};
bool ref_parse(const unsigned char *payload, size_t len, struct ref_state *state);
bool ref_parse_stream(const unsigned char *payload, size_t len, struct ref_state *state);
