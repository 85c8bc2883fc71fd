/* The close handshake, both ways (Hop: C1; RFC 6455 section 7).
 *
 * Close frames are written by this module like everything else, so that the order on the wire is the order of the
 * calls and nothing of ours can follow one; libwebsockets neither sends nor sees any. Its own way of starting a close
 * needs a return value from a callback, and takes a WRITEABLE round.
 *
 * When all is said (both Close frames, or ours after a breach, which waits for none), our side of the TCP connection is
 * shut, and what the peer still sends is thrown away until it shuts its own, at most until the limit: closing at once
 * with bytes unread would reset the connection, and a reset overtakes our Close frame. Only a peer that has said its
 * Close, and nothing behind it, is dropped at once. */
#include <string.h>
#include <sys/socket.h>

#include "ws_frame.h"
#include "ws_internal.h"

/* At most `max` bytes of it, not ending inside a character. */
static size_t cut_text(const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len <= max)
        return len;
    for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--;
    return len;
}

void conn_settle(struct ws_conn *conn)
{
    if (conn->state == CONN_OPEN && conn->ws->config.events->settle != NULL)
        conn->ws->config.events->settle(conn->ws->config.arg, conn);
}

/* False: the connection is dead. */
static bool send_close(struct ws_conn *conn, unsigned code, const char *reason)
{
    conn_settle(conn);
    if (conn->state != CONN_OPEN)
        return false;
    unsigned char frame[WS_HEADER_MAX + 2 + WS_REASON_MAX];
    size_t reason_len = cut_text(reason, WS_REASON_MAX), len = code ? 2 + reason_len : 0;
    unsigned char *payload = frame + WS_HEADER_MAX;
    payload[0] = (unsigned char)(code >> 8);
    payload[1] = (unsigned char)code;
    memcpy(payload + 2, reason, reason_len);
    unsigned char *start = ws_frame_prepend(payload, len, WS_CLOSE);
    return conn_send_control(conn, start, (size_t)(payload + len - start));
}

/* From here on the rate is no matter: messages are dropped, and the limit is near. */
static void start_closing(struct ws_conn *conn, unsigned code, const char *reason)
{
    conn_flush_pongs(conn);
    if (conn->state != CONN_OPEN || !send_close(conn, code, reason))
        return;
    conn_set_state(conn, CONN_CLOSING);
    conn_read_on(conn);
    conn_start_timer(conn, ws_now(conn->ws) + WS_CLOSE_LIMIT_NS);
}

static void count_code(struct ws_counts *counts, unsigned code)
{
    switch (code) {
#define X(number)                                                                                            \
    case number:                                                                                             \
        counts->closed_##number++;                                                                           \
        return;
        WS_CLOSE_CODES(X)
#undef X
    default:
        counts->closed_other++;
    }
}

void ws_close(struct ws_conn *conn, enum ws_close_e code, const char *reason)
{
    if (conn->state != CONN_OPEN)
        return;
    start_closing(conn, code, reason ? reason : "");
    if (conn->state == CONN_CLOSING) /* else its socket had failed */
        count_code(&conn->ws->counts, code);
}

void conn_close_now(struct ws_conn *conn, enum ws_close_e code, const char *reason)
{
    if (conn->state != CONN_OPEN || !send_close(conn, code, reason))
        return;
    conn_set_state(conn, CONN_CLOSING);
    count_code(&conn->ws->counts, code);
    conn_kill(conn);
}

void ws_close_all(struct ws *ws, enum ws_close_e code, const char *reason)
{
    size_t cursor = 0;
    for (struct ws_conn *conn; (conn = conn_next(ws, &cursor)) != NULL;)
        ws_close(conn, code, reason);
}

void ws_each(struct ws *ws, void (*each)(void *arg, struct ws_conn *conn), void *arg)
{
    size_t cursor = 0;
    for (struct ws_conn *conn; (conn = conn_next(ws, &cursor)) != NULL;)
        each(arg, conn);
}

/* Codes that may stand in a Close frame: RFC 6455 section 7.4 and IANA's registry. */
static bool code_is_good(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* What a Close is answered with: the same code, or, counted, why it is a bad one. */
static unsigned answer_code(struct ws_conn *conn, const unsigned char *payload, size_t len)
{
    if (len == 0)
        return 0; /* a Close without a code is answered likewise */
    unsigned code = len >= 2 ? (unsigned)payload[0] << 8 | payload[1] : 0;
    if (!code_is_good(code)) {
        conn->ws->counts.protocol_errors++;
        return WS_CLOSE_PROTOCOL;
    }
    if (utf8_is_valid((const char *)payload + 2, len - 2))
        return code;
    conn->ws->counts.bad_utf8++;
    return WS_CLOSE_INVALID_UTF8;
}

void conn_all_said(struct ws_conn *conn)
{
    if (conn->state != CONN_CLOSING)
        return;
    conn->ended = true;
    if (lws_partial_buffered(conn->wsi) != 0)
        lws_callback_on_writable(conn->wsi); /* which comes back here */
    else
        shutdown(conn->fd, SHUT_WR);
}

static bool nothing_unread(const struct ws_conn *conn)
{
    char byte;
    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

void conn_fail(struct ws_conn *conn, enum ws_close_e code, const char *reason)
{
    ws_close(conn, code, reason);
    conn_all_said(conn);
}

void conn_breach(struct ws_conn *conn, const char *what)
{
    conn->ws->counts.protocol_errors += conn->state == CONN_OPEN;
    conn_fail(conn, WS_CLOSE_PROTOCOL, what);
}

void conn_peer_closes(struct ws_conn *conn, const unsigned char *payload, size_t len)
{
    if (conn->state == CONN_OPEN) { /* else it is the answer to our own */
        start_closing(conn, answer_code(conn, payload, len), "");
        conn->ws->counts.peer_closed += conn->state == CONN_CLOSING;
    }
    conn_all_said(conn);
    if (conn->ended && lws_partial_buffered(conn->wsi) == 0 && nothing_unread(conn))
        conn_kill(conn);
}

/* libwebsockets is about to close: the peer is gone, or its socket failed. */
void conn_library_closes(struct ws_conn *conn)
{
    if (conn->state != CONN_OPEN)
        return;
    conn->ws->counts.peer_gone++;
    conn_set_state(conn, CONN_CLOSING);
}
