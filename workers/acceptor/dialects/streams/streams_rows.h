/* streams_rows.h — rows of a survey: how workers tell each other what is open. Pure.
 *
 *     CONNS    u32 count                                       open connections of a worker; once, first
 *     STREAM   u8 len, id, u32 channels                        one for each stream of a worker
 *     CHANNEL  u8 len, id, u8 len, host, u16 port, u8 writable one for each connection and stream
 *
 * Each begins with its kind, a byte; numbers are little-endian. A row is read on trust of nothing: lengths, kinds and UTF-8 are
 * checked, because whoever asks shows it to clients as JSON.
 *
 * Rejected: msgpack, which only common/wire may know, for three rows of fixed shape. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "topic.h"

#define STREAMS_HOST_MAX 63u

enum streams_row_e { STREAMS_ROW_CONNS = 1, STREAMS_ROW_STREAM = 2, STREAMS_ROW_CHANNEL = 3 };

struct streams_row { /* texts point elsewhere */
    enum streams_row_e kind;
    uint32_t count; /* CONNS: connections; STREAM: channels */
    const char *id, *host;
    uint8_t id_len, host_len; /* 1 to STREAM_ID_MAX, 1 to STREAMS_HOST_MAX */
    uint16_t port;            /* 0: unknown */
    bool writable;
};

/* Appends a row, or sets overflow. */
void streams_rows_put(struct out *rows, const struct streams_row *row);

/* The next row. False: there is none, or what stands there is none (rows->underflow). */
bool streams_rows_get(struct in *rows, struct streams_row *row);

/* "127.0.0.1:43210", "[::1]:43210", "unknown" as host and port of a row. */
void streams_rows_peer(struct streams_row *row, const char *peer);
