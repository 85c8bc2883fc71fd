/* frame_counter.h — cutting a byte stream from a WebSocket server into frames (RFC 6455, section 5), the bench's hot path.
 *
 *     carried bytes of the last read │ bytes of this read
 *     ├ frame ┤├ frame ┤ … ├ frame ┤├ begun fra │ → carried to the next read
 *
 * A frame is looked at in place, in the buffer that recv() filled; only the last, incomplete one is copied, once per
 * read. Counting then costs two to ten bytes per frame, and the payload is never parsed here.
 *
 * Checked as a client must: no mask, no reserved bits or opcodes, control frames whole and at most 125 bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

#define FRAME_LIMIT (4u * 1024u * 1024u) /* a snapshot of 4096 machines takes about 3 MiB */

enum frame_step_e { FRAME_WHOLE, FRAME_PART, FRAME_BAD };

struct frame {
    const unsigned char *payload;
    size_t len;   /* of the payload */
    size_t total; /* with its header */
    uint8_t opcode;
    bool fin;
};

static inline bool frame_head_ok(unsigned char first, unsigned char second)
{
    unsigned opcode = first & 0x0fu;
    if ((first & 0x70u) != 0 || (second & 0x80u) != 0)
        return false;
    if (opcode >= 8)
        return opcode <= 10 && (first & 0x80u) != 0 && second <= 125;
    return opcode <= 2;
}

/* The frame that starts at `data`. */
static inline enum frame_step_e frame_next(const unsigned char *data, size_t available, struct frame *frame)
{
    if (available < 2)
        return FRAME_PART;
    if (!frame_head_ok(data[0], data[1]))
        return FRAME_BAD;
    size_t head = 2, len = data[1];
    if (len >= 126) {
        head = len == 126 ? 4 : 10;
        if (available < head)
            return FRAME_PART;
        len = 0;
        for (size_t i = 2; i < head; i++)
            len = len << 8 | data[i];
        if (len > FRAME_LIMIT)
            return FRAME_BAD;
    }
    if (available - head < len)
        return FRAME_PART;
    *frame = (struct frame){data + head, len, head + len, data[0] & 0x0fu, (data[0] & 0x80u) != 0};
    return FRAME_WHOLE;
}

/* The incomplete frame at the end of a read. Zeroed is empty. */
struct frame_carry {
    unsigned char *bytes;
    uint32_t len, cap;
};

/* Copies the carried bytes to the front of `buffer` and forgets them; returns how many. cap >= FRAME_LIMIT + 14. */
size_t frame_carry_load(struct frame_carry *carry, unsigned char *buffer, size_t cap);
enum err_e frame_carry_store(struct frame_carry *carry, const unsigned char *bytes,
                             size_t len); /* ERR_MEMORY */
void frame_carry_fini(struct frame_carry *carry);

/* A client's frame (final, masked) around `len` bytes of payload; returns its length, 0 if `cap` is too small.
 * FRAME_CLIENT_HEAD + len suffice. */
#define FRAME_CLIENT_HEAD 14u
size_t frame_client(unsigned char *out, size_t cap, uint8_t opcode, const void *payload, size_t len,
                    uint32_t mask);
