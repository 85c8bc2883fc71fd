/* frames_channels.h — the channels dialect's messages that enter the ring, as complete WebSocket frames.
 *
 * Pure functions: no allocation, no clock; equal input gives equal bytes. What the store says of its entities is JSON already: the encoder only puts
 * "seq" behind its last member. Source: sensor-channels-websocket, "Tipos de Eventos". Rejected: taking the payload apart and writing it again; a
 * parser in the broker, for bytes that another process of ours wrote.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "frames_seq.h"
#include "system_event.h"
#include "ws_frame.h"

/* Bytes that the frame of a payload of `len` bytes takes at most. */
#define FRAMES_CHANNELS_BYTES(len) ((len) + WS_HEADER_MAX + FRAMES_SEQ_MAX)

/* As far as can be told without a parser: UTF-8 without control characters (in JSON text they stand between values at most, and nobody of ours
 * writes them), from { to }. */
bool frames_channels_payload_is_sane(const char *payload, size_t len);

/* The payload, a sane one, with a last member "seq". len 0 if `cap` is below FRAMES_CHANNELS_BYTES(len). */
struct frame_bytes frames_channels_event(void *memory, size_t cap, const char *payload, size_t len,
                                         struct frames_seq seq);

/* A system_event. FRAMES_CHANNELS_BYTES of its text suffice. */
struct frame_bytes frames_channels_system(void *memory, size_t cap, const struct system_event *event,
                                          struct frames_seq seq);
