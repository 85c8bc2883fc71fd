/* channels_text.h — what the dialect says by itself, as JSON (Hop: C2). Pure. What comes through the ring was made by the broker. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define CHANNELS_TEXT_MAX 1024u /* of each of these */

void channels_text_connection(struct out *out, const char *channel, size_t len, uint64_t wall_ms);
void channels_text_authenticated(struct out *out, const char *user_id, const char *channel, size_t len);
void channels_text_gap(struct out *out, const char *channel, size_t len, uint64_t wall_ms);
void channels_text_pong(struct out *out, uint64_t wall_ms);
void channels_text_error(struct out *out, const char *message);
void channels_text_going_away(struct out *out, uint64_t wall_ms);
