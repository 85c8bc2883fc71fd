/* Hop: C2. See streams_answer.h. Shapes: stream-message-protocol, "Abrufen von Informationen über Open WebSocket-Kanäle". */
#include "streams_answer.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "room.h"
#include "text_order.h"

#define ROWS_FIRST 4096u /* bytes */

void streams_answer_clear(struct streams_answer *answer)
{
    free(answer->rows);
    *answer = (struct streams_answer){0};
}

/* --- gathering ------------------------------------------------------------------------------------------------------ */

static void keep(struct streams_answer *answer, const void *row, size_t len)
{
    if (answer->err == ERR_OK && answer->len + len > STREAMS_ANSWER_MAX)
        answer->err = ERR_TOO_LARGE;
    if (answer->err == ERR_OK && !room_make(&answer->rows, &answer->cap, answer->len + len, ROWS_FIRST))
        answer->err = ERR_MEMORY;
    if (answer->err != ERR_OK)
        return;
    memcpy(answer->rows + answer->len, row, len);
    answer->len += len;
    answer->count++;
}

void streams_answer_add(struct streams_answer *answer, enum streams_question_e question, const char *rows,
                        size_t len)
{
    struct in in = in_init(rows, len);
    struct streams_row row;
    enum streams_row_e expected = question == STREAMS_NUMCHANNELS ? STREAMS_ROW_STREAM : STREAMS_ROW_CHANNEL;
    for (const void *at = in.at; streams_rows_get(&in, &row); at = in.at) {
        if (row.kind == STREAMS_ROW_CONNS) {
            answer->connections += row.count;
            continue;
        }
        if (row.kind != expected) {
            answer->err = ERR_MALFORMED;
            return;
        }
        answer->channels += row.kind == STREAMS_ROW_STREAM ? row.count : 1;
        keep(answer, at, (size_t)((const char *)in.at - (const char *)at));
    }
    if (in.underflow)
        answer->err = ERR_MALFORMED;
}

/* --- sorting -------------------------------------------------------------------------------------------------------- */

static struct streams_row row_at(const struct streams_answer *answer, uint32_t at)
{
    struct in in = in_init(answer->rows + at, answer->len - at);
    struct streams_row row;
    MUST(streams_rows_get(&in, &row));
    return row;
}

/* Behind kind and length. */
static int by_id(const char *a, const char *b)
{
    return text_order(a + 2, (unsigned char)a[1], b + 2, (unsigned char)b[1]);
}

static int by_row(const void *a, const void *b, void *arg)
{
    const struct streams_answer *answer = arg;
    uint32_t p = *(const uint32_t *)a, q = *(const uint32_t *)b;
    int order = by_id(answer->rows + p, answer->rows + q);
    if (order != 0)
        return order;
    struct streams_row x = row_at(answer, p), y = row_at(answer, q);
    order = text_order(x.host, x.host_len, y.host, y.host_len);
    return order != 0 ? order : x.port - y.port;
}

/* Where the rows begin, in their order. */
static uint32_t *sorted(struct streams_answer *answer)
{
    uint32_t *refs = malloc((answer->count + 1) * sizeof *refs);
    struct in in = in_init(answer->rows, answer->len);
    struct streams_row row;
    for (uint32_t i = 0; refs != NULL && i < answer->count; i++) {
        refs[i] = (uint32_t)(answer->len - in.left);
        MUST(streams_rows_get(&in, &row));
    }
    if (refs != NULL)
        qsort_r(refs, answer->count, sizeof *refs, by_row, answer);
    return refs;
}

/* --- writing -------------------------------------------------------------------------------------------------------- */

static void put_count(struct out *out, uint64_t count)
{
    out_char(out, '"');
    out_u64(out, count);
    out_char(out, '"');
}

/* The same stream of several workers is one. */
static void put_streams(const struct streams_answer *answer, const uint32_t *refs, struct out *out)
{
    out_literal(out, ",\"streams\":[");
    for (uint32_t i = 0, next; i < answer->count && !out->overflow; i = next) {
        struct streams_row row = row_at(answer, refs[i]);
        uint64_t channels = row.count;
        for (next = i + 1; next < answer->count; next++) {
            if (by_id(answer->rows + refs[i], answer->rows + refs[next]) != 0)
                break;
            channels += row_at(answer, refs[next]).count;
        }
        out_text(out, i > 0 ? ",{\"stream\":" : "{\"stream\":");
        out_json_string(out, row.id, row.id_len);
        out_literal(out, ",\"numchannels\":");
        put_count(out, channels);
        out_char(out, '}');
    }
}

static void put_channels(const struct streams_answer *answer, const uint32_t *refs, struct out *out)
{
    out_literal(out, ",\"channels\":[");
    for (uint32_t i = 0; i < answer->count && !out->overflow; i++) {
        struct streams_row row = row_at(answer, refs[i]);
        out_text(out, i > 0 ? ",{\"port\":" : "{\"port\":");
        put_count(out, row.port);
        out_literal(out, ",\"stream\":");
        out_json_string(out, row.id, row.id_len);
        out_literal(out, ",\"host\":");
        out_json_string(out, row.host, row.host_len);
        out_text(out, row.writable ? ",\"writable\":\"true\"}" : ",\"writable\":\"false\"}");
    }
}

/* All of the memory's bound is asked for; the kernel gives what is written. */
char *streams_answer_write(struct streams_answer *answer, enum streams_question_e question, size_t *len)
{
    uint32_t *refs = answer->err == ERR_OK ? sorted(answer) : NULL;
    struct out out = out_init(refs != NULL ? malloc(STREAMS_ANSWER_MAX) : NULL, STREAMS_ANSWER_MAX);
    if (answer->err == ERR_OK && out.at == NULL)
        answer->err = ERR_MEMORY;
    if (answer->err == ERR_OK) {
        out_literal(&out, "{\"numchannels\":");
        put_count(&out, answer->connections);
        (question == STREAMS_NUMCHANNELS ? put_streams : put_channels)(answer, refs, &out);
        out_literal(&out, "]}");
        if (out.overflow)
            answer->err = ERR_TOO_LARGE;
    }
    free(refs);
    if (answer->err != ERR_OK) {
        free(out.at);
        return NULL;
    }
    *len = out.len;
    return out.at;
}
