/* Hop: C2. See streams_survey.h. The cursor may come from another process: any value of it is safe. */
#include "streams_survey.h"

#include "streams_rows.h"

_Static_assert(STREAM_ID_MAX + STREAMS_HOST_MAX + 8 <= ENDPOINT_ROW_MAX, "a row fits where one must");
_Static_assert(ENDPOINT_PEER_MAX <= STREAMS_HOST_MAX + 1, "a peer's name fits a row");

/* False: no room any more, and nothing was written. */
static bool put(struct out *rows, const struct streams_row *row)
{
    struct out before = *rows;
    streams_rows_put(rows, row);
    if (rows->overflow)
        *rows = before;
    return !before.overflow && rows->len != before.len;
}

static uint32_t start_place(const struct endpoint_cursor *cursor)
{
    return cursor->a - 1 < UINT32_MAX ? (uint32_t)(cursor->a - 1) : UINT32_MAX;
}

/* --- getnumchannels() ----------------------------------------------------------------------------------------------- */

static bool tell_streams(const struct streams_registry *registry, struct endpoint_cursor *cursor,
                         struct out *rows)
{
    const struct streams_stream *stream;
    for (uint32_t place = start_place(cursor);
         (stream = streams_registry_stream(registry, place, &place)) != NULL; place++) {
        const struct streams_row row = {
            .kind = STREAMS_ROW_STREAM, .id = stream->id, .id_len = stream->len, .count = stream->channels};
        cursor->a = 1 + (uint64_t)place;
        if (stream->born < cursor->b && !put(rows, &row))
            return false;
    }
    return true;
}

/* --- getchannelinfo() ----------------------------------------------------------------------------------------------- */

/* The streams of one connection behind cursor->c, in the order of their hashes, which is that of endpoint_topics(). */
static bool tell_channels(struct endpoint_conn *conn, struct endpoint_cursor *cursor, struct out *rows)
{
    const struct topic *topics;
    char peer[ENDPOINT_PEER_MAX];
    struct streams_row row = {.kind = STREAMS_ROW_CHANNEL};
    uint32_t count = endpoint_topics(conn, &topics);
    for (uint32_t i = 0; i < count; i++) {
        size_t len;
        if (topics[i].hash <= cursor->c ||
            (row.id = topic_stream_id(topics[i].name, topics[i].len, &len)) == NULL)
            continue;
        if (row.host == NULL) {
            endpoint_peer(conn, peer);
            streams_rows_peer(&row, peer);
            row.writable = endpoint_is_writable(conn);
        }
        row.id_len = (uint8_t)len;
        if (!put(rows, &row))
            return false;
        cursor->c = topics[i].hash;
    }
    return true;
}

static bool tell_conns(const struct streams_registry *registry, struct endpoint_cursor *cursor,
                       struct out *rows)
{
    struct endpoint_conn *conn;
    for (uint32_t place = start_place(cursor);
         (conn = streams_registry_conn(registry, place, &place)) != NULL; place++) {
        uint64_t serial = endpoint_serial(conn);
        if (cursor->a != 1 + (uint64_t)place || cursor->b != serial)
            cursor->c = 0; /* not the one that was half told */
        cursor->a = 1 + (uint64_t)place;
        cursor->b = serial;
        if (!tell_channels(conn, cursor, rows))
            return false;
    }
    return true;
}

bool streams_survey_rows(const struct streams_registry *registry, unsigned question,
                         struct endpoint_cursor *cursor, struct out *rows)
{
    if (cursor->a == 0) {
        const struct streams_row row = {.kind = STREAMS_ROW_CONNS, .count = registry->conns.count};
        put(rows, &row);
        *cursor = (struct endpoint_cursor){1, question == STREAMS_NUMCHANNELS ? registry->born : 0, 0};
    }
    switch (question) {
    case STREAMS_NUMCHANNELS:
        return tell_streams(registry, cursor, rows);
    case STREAMS_CHANNELINFO:
        return tell_conns(registry, cursor, rows);
    default: /* of a newer worker */
        return true;
    }
}
