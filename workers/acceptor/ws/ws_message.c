/* Client messages from the pieces that the parser delivers (Hop: C1).
 *
 * Most messages come in one piece and are passed on where they lie. Others are joined in a buffer that exists only
 * while such a message is open, grows with what has really arrived (never with what a header announces), and counts
 * against one budget of the whole worker: when that is used up, whoever needs more is closed with 1013. A message that
 * must become too long is refused at its first frame header that says so. */
#include <stdlib.h>
#include <string.h>

#include "ws_frame.h"
#include "ws_internal.h"

struct ws_join {
    size_t len, cap;
    char data[];
};

#define JOIN_MIN_BYTES 512u

void conn_drop_join(struct ws_conn *conn)
{
    if (conn->join == NULL)
        return;
    conn->ws->join_bytes -= conn->join->cap;
    free(conn->join);
    conn->join = NULL;
}

static bool join_reserve(struct ws_conn *conn, size_t need)
{
    struct ws *ws = conn->ws;
    size_t old = conn->join ? conn->join->cap : 0, cap = old ? old : JOIN_MIN_BYTES;
    if (conn->join != NULL && need <= old)
        return true;
    while (cap < need)
        cap *= 2;
    if (ws->join_bytes - old + cap > ws->config.message_budget_bytes)
        return false;
    struct ws_join *grown = realloc(conn->join, sizeof *grown + cap);
    if (grown == NULL)
        return false;
    if (conn->join == NULL)
        grown->len = 0;
    grown->cap = cap;
    conn->join = grown;
    ws->join_bytes += cap - old;
    return true;
}

static void deliver(struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    struct ws *ws = conn->ws;
    if (!binary && !utf8_is_valid(data, len)) {
        ws->counts.bad_utf8++;
        conn_fail(conn, WS_CLOSE_INVALID_UTF8, "the text is not UTF-8");
        return;
    }
    ws->counts.messages++;
    conn_flush_pongs(conn);
    ws->config.events->message(ws->config.arg, conn, data, len, binary);
}

static bool fits(struct ws_conn *conn, size_t have, const struct ws_piece *piece)
{
    size_t max = conn->ws->config.max_message_bytes;
    if (have + piece->len <= max && piece->frame_left <= max - have - piece->len)
        return true;
    conn->ws->counts.too_large++;
    conn_fail(conn, WS_CLOSE_TOO_LARGE, "the message is too large");
    return false;
}

static void append(struct ws_conn *conn, const struct ws_piece *piece)
{
    if (!join_reserve(conn, (conn->join ? conn->join->len : 0) + piece->len)) {
        conn->ws->counts.over_budget++;
        conn_fail(conn, WS_CLOSE_TRY_LATER, "too many unfinished messages");
        return;
    }
    struct ws_join *join = conn->join;
    if (piece->len > 0)
        memcpy(join->data + join->len, piece->data, piece->len);
    join->len += piece->len;
    if (!piece->ends)
        return;
    conn->join = NULL; /* the callback may close the connection, and this must outlive that */
    deliver(conn, join->data, join->len, piece->opcode == WS_BINARY);
    conn->ws->join_bytes -= join->cap;
    free(join);
}

void conn_received(struct ws_conn *conn, const struct ws_piece *piece)
{
    if (conn->state != CONN_OPEN)
        return;
    conn->ws->counts.bytes_in += piece->len;
    if (!fits(conn, conn->join ? conn->join->len : 0, piece))
        return;
    if (piece->ends && conn->join == NULL)
        deliver(conn, (const char *)piece->data, piece->len, piece->opcode == WS_BINARY);
    else if (piece->ends || piece->len > 0)
        append(conn, piece);
}
