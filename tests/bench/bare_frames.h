/* bare_frames.h — frames for the bare sender: a template per machine, made by the encoder that the broker uses
 * (frames_carousel.h), in which the numbers that change are overwritten with as many digits; or one of stream messages. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "payload.h"
#include "source_table.h"

struct bare_template;

struct bare_frames {
    struct bare_template *templates;
    uint32_t stream_bytes; /* 0: states */
    uint32_t machines;
    uint64_t count; /* frames made */
};

enum err_e bare_frames_init(struct bare_frames *frames, uint32_t machines, const struct payload *payload);
enum err_e bare_frames_init_stream(struct bare_frames *frames, uint32_t stream_bytes);
void bare_frames_fini(struct bare_frames *frames);

/* The next frame, of the machines in turn, noted in `table` (of stream messages: in themselves) as sent now; valid until that
 * machine's next one. Returns its length. */
size_t bare_frames_next(struct bare_frames *frames, struct source_table *table, uint64_t now_ns,
                        const unsigned char **frame);
