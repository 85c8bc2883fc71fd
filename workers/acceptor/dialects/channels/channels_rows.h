/* channels_rows.h — rows of a survey: how workers tell each other who is connected. Pure.
 *
 *     CHANNEL  u8 len, name, u32 connections                        one for each channel of a worker
 *     USER     u8 len, name, u8 len, user_id, u64 connected_ms      of each channel the first CHANNELS_USERS_TOLD
 *
 * Each begins with its kind, a byte; numbers are little-endian. A row is read on trust of nothing: whoever asks shows it to clients as
 * JSON.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define CHANNELS_USERS_TOLD 100u /* of a channel */

enum channels_row_e { CHANNELS_ROW_CHANNEL = 1, CHANNELS_ROW_USER = 2 };

struct channels_row { /* texts point elsewhere */
    enum channels_row_e kind;
    const char *name, *user;
    uint8_t name_len, user_len;
    uint32_t connections;
    uint64_t connected_ms;
};

/* Appends a row; false: there is no room, and nothing was written. */
bool channels_rows_put(struct out *rows, const struct channels_row *row);
/* The next row. False: there is none, or what stands there is none (rows->underflow). */
bool channels_rows_get(struct in *rows, struct channels_row *row);
