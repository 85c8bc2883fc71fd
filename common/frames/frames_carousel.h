/* frames_carousel.h — the carousel dialect's messages that enter the ring, as complete WebSocket frames.
 *
 * Pure functions: no allocation, no clock; equal input gives equal bytes. `seq` members are RING-N made of the ring's
 * id and the record's position. Every encoder writes into memory of the caller's and returns the frame within it, with
 * len 0 if `cap` was too small (FRAMES_CAROUSEL_MAX always suffices). Source: carousel-websocket-api, "Tipos de
 * Mensaje"; members the document does not have come last.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "machine.h"

#define FRAMES_CAROUSEL_MAX 4096u
#define REQUEST_ID_MAX      64u /* bytes of a client's request_id */

struct frame_bytes {
    const unsigned char *at;
    size_t len;
};

struct frames_seq { /* the record that will carry the frame */
    uint32_t ring_id;
    uint64_t position;
};

/* Error codes clients see, in the order of the protocol page. */
#define CAROUSEL_CODE_TABLE(X)                                                                               \
    X(NONE, "")                                                                                              \
    X(MACHINE_NOT_FOUND, "Machine not found")                                                                \
    X(INVALID_COMMAND, "Invalid command")                                                                    \
    X(CONNECTION_ERROR, "No connection to the PLC")                                                          \
    X(BUSY, "Machine is busy")                                                                               \
    X(INVALID_MESSAGE_FORMAT, "Invalid message format")                                                      \
    X(INTERLOCK, "Interlock")                                                                                \
    X(TIMEOUT, "Deadline passed before the command was sent")                                                \
    X(OUTCOME_UNKNOWN, "The command was sent; whether it was carried out is unknown")                        \
    X(UNAUTHORIZED, "Unauthorized")                                                                          \
    X(FORBIDDEN, "Forbidden")                                                                                \
    X(RATE_LIMITED, "Rate limited")                                                                          \
    X(INTERNAL_ERROR, "Internal error")

enum carousel_code_e {
#define X(name, text) CODE_##name,
    CAROUSEL_CODE_TABLE(X)
#undef X
        CODE_COUNT
};

const char *carousel_code_name(enum carousel_code_e code); /* "BUSY"; CODE_NONE and unknown: "INTERNAL_ERROR" */
const char *carousel_code_text(enum carousel_code_e code); /* the default text */

/* status_broadcast of one machine. *text_offset, *text_len: where `text` (machine_state_text()) stands in the frame. */
struct frame_bytes frames_carousel_state(void *memory, size_t cap, const char *machine_id, const char *text,
                                         size_t text_len, uint64_t wall_ms, struct frames_seq seq,
                                         uint32_t *text_offset);

struct carousel_command {
    const char *machine_id; /* as the client wrote it; valid UTF-8, at most MACHINE_ID_MAX bytes */
    const char *request_id; /* "" if none */
    uint8_t command;
    int argument; /* -1: none (shown as null) */
};

/* command_result; success with "Comando ejecutado correctamente", or "success":false with the text and "code". */
struct frame_bytes frames_carousel_result(void *memory, size_t cap, const struct carousel_command *command,
                                          enum carousel_code_e code, const char *text, uint64_t wall_ms,
                                          struct frames_seq seq);

/* command_completed. position -1: unknown (null). */
struct frame_bytes frames_carousel_completed(void *memory, size_t cap, const struct carousel_command *command,
                                             bool success, int position, uint64_t elapsed_ms, uint64_t wall_ms,
                                             struct frames_seq seq);

/* error, to the origin only; text "" takes the code's own. */
struct frame_bytes frames_carousel_error(void *memory, size_t cap, const struct carousel_command *command,
                                         enum carousel_code_e code, const char *text, uint64_t wall_ms,
                                         struct frames_seq seq);

/* alarm event: condition is "alarm", "estop", "drive_fault" or "positioning_error". */
struct frame_bytes frames_carousel_alarm(void *memory, size_t cap, const char *machine_id, const char *condition,
                                         bool active, uint64_t wall_ms, struct frames_seq seq);
