/* frames_streams.h — the streams dialect's only message from elsewhere: a payload, bare, as one text frame.
 *
 * Pure: no allocation, no clock; equal input gives equal bytes. There is no envelope and no "seq": what a client sent is what
 * the others get, byte for byte. That the payload is UTF-8 (RFC 6455, 8.1) is the caller's to know. Source:
 * stream-message-protocol, "send".
 */
#pragma once

#include <stddef.h>

#include "ws_frame.h"

/* Bytes that the frame of a payload of `len` bytes takes at most. */
#define FRAMES_STREAMS_BYTES(len) ((len) + WS_HEADER_MAX)

/* The frame within `memory`; len 0 if `cap` is below FRAMES_STREAMS_BYTES(len). An empty payload is a frame, too. */
struct frame_bytes frames_streams_message(void *memory, size_t cap, const void *payload, size_t len);
