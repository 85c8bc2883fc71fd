#include "channels_rows.h"

#include "channels_query.h"
#include "topic.h"
#include "utf8.h"

static void put_number(struct out *rows, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++, value >>= 8)
        out_char(rows, (char)(value & 0xff));
}

static uint64_t get_number(struct in *rows, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)in_u8(rows) << 8 * i;
    return value;
}

static void put_text(struct out *rows, const char *text, uint8_t len)
{
    out_char(rows, (char)len);
    out_bytes(rows, text, len);
}

static const char *get_text(struct in *rows, uint8_t *len)
{
    *len = in_u8(rows);
    return in_bytes(rows, *len);
}

bool channels_rows_put(struct out *rows, const struct channels_row *row)
{
    struct out before = *rows;
    out_char(rows, (char)row->kind);
    put_text(rows, row->name, row->name_len);
    if (row->kind == CHANNELS_ROW_CHANNEL) {
        put_number(rows, row->connections, 4);
    } else {
        put_text(rows, row->user, row->user_len);
        put_number(rows, row->connected_ms, 8);
    }
    if (!rows->overflow)
        return true;
    *rows = before;
    return false;
}

static bool get_body(struct in *rows, struct channels_row *row)
{
    row->name = get_text(rows, &row->name_len);
    if (row->name == NULL || !channel_name_is_valid(row->name, row->name_len))
        return false;
    switch (row->kind) {
    case CHANNELS_ROW_CHANNEL:
        row->connections = (uint32_t)get_number(rows, 4);
        return true;
    case CHANNELS_ROW_USER:
        row->user = get_text(rows, &row->user_len);
        row->connected_ms = get_number(rows, 8);
        return row->user != NULL && row->user_len > 0 && row->user_len <= CHANNELS_USER_MAX &&
               utf8_is_valid(row->user, row->user_len);
    }
    return false;
}

bool channels_rows_get(struct in *rows, struct channels_row *row)
{
    if (rows->underflow || rows->left == 0)
        return false;
    *row = (struct channels_row){.kind = (enum channels_row_e)in_u8(rows)};
    if (!get_body(rows, row))
        rows->underflow = true;
    return !rows->underflow;
}
