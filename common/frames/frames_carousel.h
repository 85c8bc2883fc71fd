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
#include "command.h"
#include "frames_seq.h"
#include "machine.h"
#include "ws_frame.h"

#define FRAMES_CAROUSEL_MAX 4096u

/* status_broadcast of one machine. *text_offset, *text_len: where `text` (machine_state_text()) stands in the frame. */
struct frame_bytes frames_carousel_state(void *memory, size_t cap, const char *machine_id, const char *text,
                                         size_t text_len, uint64_t wall_ms, struct frames_seq seq,
                                         uint32_t *text_offset);

struct carousel_command {
    const char *machine_id; /* as the client wrote it; valid UTF-8, at most MACHINE_ID_MAX bytes */
    const char *request_id; /* "" if none */
    uint16_t command;       /* 0..255, or COMMAND_REARM */
    int argument;           /* -1: none (shown as null) */
};

/* command_result; success with "Comando ejecutado correctamente", or "success":false with the text and "code". */
struct frame_bytes frames_carousel_result(void *memory, size_t cap, const struct carousel_command *command,
                                          enum command_code_e code, const char *text, uint64_t wall_ms,
                                          struct frames_seq seq);

/* command_completed. position -1: unknown (null). */
struct frame_bytes frames_carousel_completed(void *memory, size_t cap, const struct carousel_command *command,
                                             bool success, int position, uint64_t elapsed_ms,
                                             uint64_t wall_ms, struct frames_seq seq);

/* error, to the origin only; text "" takes the code's own. */
struct frame_bytes frames_carousel_error(void *memory, size_t cap, const struct carousel_command *command,
                                         enum command_code_e code, const char *text, uint64_t wall_ms,
                                         struct frames_seq seq);

/* alarm event: condition is "alarm", "estop", "drive_fault" or "positioning_error". */
struct frame_bytes frames_carousel_alarm(void *memory, size_t cap, const char *machine_id,
                                         const char *condition, bool active, uint64_t wall_ms,
                                         struct frames_seq seq);

/* machine_added or machine_removed, with the machine as `welcome` shows it. */
struct frame_bytes frames_carousel_machine(void *memory, size_t cap, bool added,
                                           const struct machine_info *info, uint64_t wall_ms,
                                           struct frames_seq seq);

/* The same message without its last member, "seq", for readers who know no ring. `frame` is what one of the encoders above wrote to
 * `memory`, which holds the new frame then, and the old one no longer. */
struct frame_bytes frames_carousel_without_seq(void *memory, struct frame_bytes frame);
