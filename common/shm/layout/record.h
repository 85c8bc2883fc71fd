/* record.h — what a ring record says, shared by writer and readers.
 *
 * A record is one complete, unmasked WebSocket frame of one dialect, the topics it belongs to, the session it goes
 * back to, and a few facts (`meta`) that a worker folds into its mirror. Its address for clients is RING-N with
 * N = position / 64.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "machine.h"

#define RECORD_ALIGN      64u
#define RECORD_TOPICS_MAX 16u
#define RECORD_PARTS_MAX  63u            /* records of one message (struct record_stream) */
#define RECORD_MAX        (256u * 1024u) /* bytes of a whole record */

#define RECORD_KIND_TABLE(X)                                                                                 \
    X(STATE, "state")           /* meta: struct record_state */                                              \
    X(RESULT, "result")         /* meta: struct record_outcome */                                            \
    X(COMPLETION, "completion") /* meta: struct record_outcome */                                            \
    X(REFUSAL, "refusal")       /* meta: struct record_outcome; to the origin only */                        \
    X(EVENT, "event")           /* no meta */                                                                \
    X(STREAM, "stream")         /* meta: struct record_stream */                                             \
    X(MACHINE, "machine") /* no meta: one was added or removed; the last-value table shows it already */     \
    X(CHANNEL, "channel") /* meta: struct record_source; an event of a channel */                            \
    X(FLOOR, "floor")     /* meta: struct record_source; no topics, no frame, for nobody: see there */

enum record_kind_e {
#define X(name, text) RECORD_##name,
    RECORD_KIND_TABLE(X)
#undef X
        RECORD_KIND_COUNT
};

/* Whose clients understand the frame. A worker ignores records of dialects it does not know. */
enum record_dialect_e {
    DIALECT_CAROUSEL = 1,
    DIALECT_CHANNELS = 2,
    DIALECT_STREAMS = 3,
    DIALECT_ENDPOINTS = 4
};

/* What the session in `origin` gets, beside the subscribers of the topics. */
enum record_origin_e {
    ORIGIN_NONE, /* no session behind it */
    ORIGIN_ALSO, /* the origin gets it too, once, subscribed or not */
    ORIGIN_ONLY, /* nobody else gets it */
    ORIGIN_NOT   /* everybody but the origin */
};

/* A client connection, for the whole installation: (worker incarnation, serial within it). 0,0 is none. */
struct session_id {
    uint64_t worker, serial;
};

/* RECORD_STATE: the machine's slot in the last-value table, its state, and where the frame holds its text. */
struct record_state {
    uint32_t slot;
    uint32_t text_offset, text_len; /* machine_state_text() within the frame */
    uint32_t connection;            /* enum connection_e */
    uint32_t has_reading, raw_status, position, reserved;
    uint64_t read_wall_ms;
    uint64_t agent_gen; /* incarnation of the agent whose reading it is */
};

/* RECORD_RESULT, COMPLETION, REFUSAL: which command, and the agent's running number of the outcome. */
struct record_outcome {
    uint32_t slot;                   /* UINT32_MAX: no such machine */
    uint32_t command_serial;         /* the worker's number of the command within its session */
    uint64_t agent_gen, outcome_seq; /* 0, 0: the broker's own refusal */
};

/* RECORD_STREAM: which message of the origin's worker it is; of streams, or of endpoints (then `origin` may have serial 0). One on more topics than a record holds has further parts right behind the
 * first, made visible with it: they name the other topics, and have no frame. */
struct record_stream {
    uint64_t publish_seq; /* runs per worker incarnation, from 1; 0: the broker's own */
    uint32_t part, parts; /* part 0 has the frame */
};

/* RECORD_CHANNEL: the event's number at its source (the store's database). A source of 0: the broker's own, told once and not
 * repeated; its source_seq is a note for the next broker (broker/system_events.h), and no number. RECORD_FLOOR repeats the last number of a source before the ring overwrites the record that has it, so that a broker that
 * starts knows it however long ago that was. */
struct record_source {
    uint64_t source, source_seq;
    uint64_t position; /* FLOOR: of the event; else 0 */
};
