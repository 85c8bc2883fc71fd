/* dialect_frames.h — which pure encoders write a command's answers in the dialect it was asked in (part of Hop R2).
 *
 * A dialect is one row of the table in dialect_frames.c; common/frames has the encoders.
 */
#pragma once

#include <stdint.h>

#include "frames_carousel.h"
#include "record.h"

/* What became of a command, in words of no dialect. */
struct command_fate {
    const char *machine_id, *request_id;
    uint16_t command; /* 0..255, or COMMAND_REARM */
    int argument;     /* -1: none */
    enum command_code_e code;
    const char *text; /* "": the code's own */
    int position;     /* -1: unknown */
    uint64_t elapsed_ms;
};

typedef struct frame_bytes fate_encoder_f(void *memory, size_t cap, const struct command_fate *fate,
                                          uint64_t wall_ms, struct frames_seq seq);

struct dialect_frames {
    fate_encoder_f *result, *completed, *error;
};

/* NULL: no dialect that sends commands. FRAMES_CAROUSEL_MAX bytes suffice for each. */
const struct dialect_frames *dialect_frames(uint64_t dialect);
