/* frames_payload.h — what a client or a handler says to others (streams, endpoints): a payload, bare, as one frame.
 *
 * Pure: no allocation, no clock; equal input gives equal bytes. There is no envelope and no "seq": what was sent is what the
 * others get, byte for byte. That the payload of a text frame is UTF-8 (RFC 6455, 8.1) is the caller's to know. Source:
 * stream-message-protocol, "send". Rejected: an encoder per dialect; they would be one function twice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ws_frame.h"

/* Bytes that the frame of a payload of `len` bytes takes at most. */
#define FRAMES_PAYLOAD_BYTES(len) ((len) + WS_HEADER_MAX)

/* The frame, a text or a binary one, within `memory`; len 0 if `cap` is below FRAMES_PAYLOAD_BYTES(len). An empty payload is a
 * frame, too. */
struct frame_bytes frames_payload(void *memory, size_t cap, const void *payload, size_t len, bool binary);
