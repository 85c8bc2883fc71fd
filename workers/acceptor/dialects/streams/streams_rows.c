#include "streams_rows.h"

#include <stdlib.h>

#include "must.h"
#include "utf8.h"

static void put_number(struct out *rows, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++, value >>= 8)
        out_char(rows, (char)(value & 0xff));
}

static uint32_t get_number(struct in *rows, unsigned bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint32_t)in_u8(rows) << 8 * i;
    return value;
}

static void put_text(struct out *rows, const char *text, uint8_t len)
{
    out_char(rows, (char)len);
    out_bytes(rows, text, len);
}

static bool get_text(struct in *rows, unsigned max, const char **text, uint8_t *len)
{
    *len = in_u8(rows);
    *text = in_bytes(rows, *len);
    return *text != NULL && *len > 0 && *len <= max && utf8_is_valid(*text, *len);
}

void streams_rows_put(struct out *rows, const struct streams_row *row)
{
    out_char(rows, (char)row->kind);
    if (row->kind != STREAMS_ROW_CONNS)
        put_text(rows, row->id, row->id_len);
    if (row->kind != STREAMS_ROW_CHANNEL) {
        put_number(rows, row->count, 4);
        return;
    }
    put_text(rows, row->host, row->host_len);
    put_number(rows, row->port, 2);
    out_char(rows, row->writable);
}

static bool get_body(struct in *rows, struct streams_row *row)
{
    switch (row->kind) {
    case STREAMS_ROW_CONNS:
        row->count = get_number(rows, 4);
        return true;
    case STREAMS_ROW_STREAM:
        if (!get_text(rows, STREAM_ID_MAX, &row->id, &row->id_len))
            return false;
        row->count = get_number(rows, 4);
        return true;
    case STREAMS_ROW_CHANNEL:
        if (!get_text(rows, STREAM_ID_MAX, &row->id, &row->id_len) ||
            !get_text(rows, STREAMS_HOST_MAX, &row->host, &row->host_len))
            return false;
        row->port = (uint16_t)get_number(rows, 2);
        row->writable = in_u8(rows) != 0;
        return true;
    }
    return false;
}

bool streams_rows_get(struct in *rows, struct streams_row *row)
{
    if (rows->underflow || rows->left == 0)
        return false;
    *row = (struct streams_row){.kind = (enum streams_row_e)in_u8(rows)};
    if (!get_body(rows, row))
        rows->underflow = true;
    return !rows->underflow;
}

void streams_rows_peer(struct streams_row *row, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    size_t len = colon != NULL ? (size_t)(colon - peer) : strlen(peer);
    row->port = colon != NULL ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
    if (len > 2 && peer[0] == '[' && peer[len - 1] == ']') {
        peer++;
        len -= 2;
    }
    MUST(len > 0 && len <= STREAMS_HOST_MAX);
    row->host = peer;
    row->host_len = (uint8_t)len;
}
