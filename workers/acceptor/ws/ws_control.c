/* Control frames of the peer (Hop: C1; RFC 6455 section 5.5), which may come in pieces and between fragments.
 *
 * Every ping is answered, in order with what else is sent; the answers to all pings of one read go out with one
 * send(2). While a remainder waits, because the peer does not read, only the newest ping is kept (section 5.5.3 allows
 * it), so that pings cannot make us hold more than one frame. */
#include <stdlib.h>
#include <string.h>

#include "ws_frame.h"
#include "ws_internal.h"

#define CONTROL_MAX 125u
#define PONGS_MAX   4096u

/* Exists while a control frame is incomplete or a pong waits. */
struct ws_control {
    uint8_t have, owed_len;
    bool owed; /* a pong that is sent when the socket takes bytes again */
    unsigned char frame[CONTROL_MAX], pong[CONTROL_MAX];
};

/* Pongs of the connection that is being read, gathered; one thread has one reader. */
static _Thread_local struct {
    size_t len;
    unsigned char bytes[PONGS_MAX];
} pongs;

void conn_drop_control(struct ws_conn *conn)
{
    free(conn->control);
    conn->control = NULL;
}

static struct ws_control *get_control(struct ws_conn *conn)
{
    if (conn->control == NULL)
        conn->control = calloc(1, sizeof *conn->control);
    if (conn->control == NULL)
        conn_kill(conn);
    return conn->control;
}

static void drop_if_unused(struct ws_conn *conn)
{
    if (conn->control != NULL && conn->control->have == 0 && !conn->control->owed)
        conn_drop_control(conn);
}

/* --- pongs --------------------------------------------------------------------------------------------------------- */

void conn_flush_pongs(struct ws_conn *conn)
{
    size_t len = pongs.len;
    pongs.len = 0;
    if (len > 0 && conn->state == CONN_OPEN)
        conn_send_control(conn, pongs.bytes, len);
}

static void owe_pong(struct ws_conn *conn, const unsigned char *payload, size_t len)
{
    struct ws_control *control = get_control(conn);
    if (control == NULL)
        return;
    control->owed = true;
    control->owed_len = (uint8_t)len;
    if (len > 0)
        memcpy(control->pong, payload, len);
    lws_callback_on_writable(conn->wsi);
}

static void answer_ping(struct ws_conn *conn, const unsigned char *payload, size_t len)
{
    unsigned char frame[WS_HEADER_MAX + CONTROL_MAX];
    if (lws_partial_buffered(conn->wsi) != 0 || (conn->control != NULL && conn->control->owed)) {
        owe_pong(conn, payload, len);
        return;
    }
    if (len > 0)
        memcpy(frame + WS_HEADER_MAX, payload, len);
    unsigned char *start = ws_frame_prepend(frame + WS_HEADER_MAX, len, WS_PONG);
    size_t total = (size_t)(frame + WS_HEADER_MAX + len - start);
    if (total > sizeof pongs.bytes - pongs.len)
        conn_flush_pongs(conn);
    memcpy(pongs.bytes + pongs.len, start, total);
    pongs.len += total;
}

void conn_send_owed_pong(struct ws_conn *conn)
{
    if (conn->control == NULL || !conn->control->owed)
        return;
    conn->control->owed = false;
    answer_ping(conn, conn->control->pong, conn->control->owed_len);
    conn_flush_pongs(conn);
    drop_if_unused(conn);
}

/* --- whole frames -------------------------------------------------------------------------------------------------- */

static void whole(struct ws_conn *conn, unsigned opcode, const unsigned char *payload, size_t len)
{
    if (opcode == WS_CLOSE)
        conn_peer_closes(conn, payload, len);
    else if (opcode == WS_PING && conn->state == CONN_OPEN)
        answer_ping(conn, payload, len);
}

void conn_control(struct ws_conn *conn, const struct ws_piece *piece)
{
    if (piece->begins && piece->ends) {
        whole(conn, piece->opcode, piece->data, piece->len);
        return;
    }
    struct ws_control *control = get_control(conn);
    if (control == NULL)
        return;
    MUST(control->have + piece->len <= CONTROL_MAX);
    memcpy(control->frame + control->have, piece->data, piece->len);
    control->have = (uint8_t)(control->have + piece->len);
    if (!piece->ends)
        return;
    unsigned char frame[CONTROL_MAX];
    size_t len = control->have;
    memcpy(frame, control->frame, len);
    control->have = 0;
    drop_if_unused(conn);
    whole(conn, piece->opcode, frame, len);
}
