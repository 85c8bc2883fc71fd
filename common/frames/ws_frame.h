/* ws_frame.h — RFC 6455 framing of what the server sends: final, unmasked frames.
 *
 * Encoders write a payload behind WS_HEADER_MAX bytes of room and then put the header right before it, so that a
 * frame is built without moving bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define WS_HEADER_MAX 10u

/* What an encoder made: a whole frame in memory of the caller's. */
struct frame_bytes {
    const unsigned char *at;
    size_t len;
};

enum ws_opcode_e { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* Writes the header of a payload of `len` bytes so that it ends right before `payload` (which has WS_HEADER_MAX
 * bytes of room before it); returns the frame's first byte. */
unsigned char *ws_frame_prepend(unsigned char *payload, size_t len, enum ws_opcode_e opcode);

/* For encoders of text: what is written to the cursor stands behind room for the header, and is a whole frame after the second. len 0 if it did not
 * fit. */
struct out ws_frame_begin(void *memory, size_t cap);
struct frame_bytes ws_frame_end(struct out *payload);

/* Bytes that the header of a payload of `len` bytes takes. */
size_t ws_frame_header_len(size_t len);

/* Length of the whole unmasked frame that starts at `frame`, of which `available` bytes are readable; 0 if even the
 * header is not complete. */
size_t ws_frame_total_len(const unsigned char *frame, size_t available);
