/* Hop: C2. See channels_answer.h. Shapes: the source document, "Estadísticas disponibles". */
#include "channels_answer.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "room.h"
#include "text_order.h"

#define ROWS_FIRST 4096u /* bytes */

void channels_answer_clear(struct channels_answer *answer)
{
    free(answer->rows);
    free(answer->refs);
    *answer = (struct channels_answer){0};
}

/* --- gathering ------------------------------------------------------------------------------------------------------ */

void channels_answer_add(struct channels_answer *answer, const char *rows, size_t len)
{
    struct in in = in_init(rows, len);
    struct channels_row row;
    uint32_t count = 0;
    while (channels_rows_get(&in, &row))
        count++;
    if (answer->err == ERR_OK && in.underflow)
        answer->err = ERR_MALFORMED;
    if (answer->err == ERR_OK && !room_make(&answer->rows, &answer->cap, answer->len + len, ROWS_FIRST))
        answer->err = ERR_MEMORY;
    if (answer->err != ERR_OK || len == 0)
        return;
    memcpy(answer->rows + answer->len, rows, len);
    answer->len += len;
    answer->count += count;
}

/* --- sorting -------------------------------------------------------------------------------------------------------- */

static struct channels_row row_at(const struct channels_answer *answer, uint32_t ref)
{
    struct in in = in_init(answer->rows + ref, answer->len - ref);
    struct channels_row row;
    MUST(channels_rows_get(&in, &row));
    return row;
}

static int by_row(const void *a, const void *b, void *arg)
{
    struct channels_row x = row_at(arg, *(const uint32_t *)a), y = row_at(arg, *(const uint32_t *)b);
    int order = text_order(x.name, x.name_len, y.name, y.name_len);
    if (order != 0 || x.kind != y.kind)
        return order != 0 ? order : (int)x.kind - (int)y.kind;
    if (x.connected_ms != y.connected_ms)
        return x.connected_ms < y.connected_ms ? -1 : 1;
    return x.kind == CHANNELS_ROW_USER ? text_order(x.user, x.user_len, y.user, y.user_len) : 0;
}

void channels_answer_sort(struct channels_answer *answer)
{
    if (answer->err != ERR_OK)
        return;
    answer->refs = malloc((answer->count + 1) * sizeof *answer->refs);
    if (answer->refs == NULL) {
        answer->err = ERR_MEMORY;
        return;
    }
    struct in in = in_init(answer->rows, answer->len);
    struct channels_row row;
    for (uint32_t i = 0; i < answer->count; i++) {
        answer->refs[i] = (uint32_t)(answer->len - in.left);
        MUST(channels_rows_get(&in, &row));
    }
    qsort_r(answer->refs, answer->count, sizeof *answer->refs, by_row, answer);
}

/* --- writing -------------------------------------------------------------------------------------------------------- */

/* Index of the first row of the channel, or of where it would stand. */
static uint32_t find(const struct channels_answer *answer, const char *name, size_t len)
{
    uint32_t low = 0, high = answer->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct channels_row row = row_at(answer, answer->refs[middle]);
        if (text_order(row.name, row.name_len, name, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The row at `i` if it is of that channel and kind. */
static bool next_row(const struct channels_answer *answer, uint32_t i, const char *name, size_t len,
                     enum channels_row_e kind, struct channels_row *row)
{
    if (i >= answer->count)
        return false;
    *row = row_at(answer, answer->refs[i]);
    return row->kind == kind && text_order(row->name, row->name_len, name, len) == 0;
}

static void put_user(struct out *out, const struct channels_row *row, bool first)
{
    out_text(out, first ? "{\"user_id\":" : ",{\"user_id\":");
    out_json_string(out, row->user, row->user_len);
    out_literal(out, ",\"connected_at\":\"");
    out_timestamp(out, row->connected_ms);
    out_literal(out, "\"}");
}

/* Index behind the channel's rows. */
static uint32_t put_stats(const struct channels_answer *answer, uint32_t i, const char *name, size_t len,
                          struct out *out)
{
    struct channels_row row;
    uint64_t connections = 0;
    for (; next_row(answer, i, name, len, CHANNELS_ROW_CHANNEL, &row); i++)
        connections += row.connections;
    out_literal(out, "{\"connections\":");
    out_u64(out, connections);
    out_literal(out, ",\"users\":[");
    for (uint32_t told = 0; next_row(answer, i, name, len, CHANNELS_ROW_USER, &row); i++, told++)
        if (told < CHANNELS_USERS_TOLD)
            put_user(out, &row, told == 0);
    out_literal(out, "]}");
    return i;
}

void channels_answer_one(const struct channels_answer *answer, const char *name, size_t len, struct out *out)
{
    (void)put_stats(answer, find(answer, name, len), name, len, out);
}

static uint32_t count_channels(const struct channels_answer *answer)
{
    uint32_t channels = 0;
    struct channels_row last = {.name_len = 0}, row;
    for (uint32_t i = 0; i < answer->count; i++, last = row) {
        row = row_at(answer, answer->refs[i]);
        channels += i == 0 || text_order(row.name, row.name_len, last.name, last.name_len) != 0;
    }
    return channels;
}

void channels_answer_all(const struct channels_answer *answer, struct out *out)
{
    out_literal(out, "{\"total_channels\":");
    out_u64(out, count_channels(answer));
    out_literal(out, ",\"channels\":{");
    for (uint32_t i = 0; i < answer->count && !out->overflow;) {
        struct channels_row row = row_at(answer, answer->refs[i]);
        if (i > 0)
            out_char(out, ',');
        out_json_string(out, row.name, row.name_len);
        out_char(out, ':');
        i = put_stats(answer, i, row.name, row.name_len, out);
    }
    out_literal(out, "}}");
}
