/* The close handshake, both ways.
 *
 * Close frames are written by this module like everything else, so that the order on the wire is the order of the
 * calls and nothing of ours can follow one. libwebsockets writes them only where its parser found a breach of the
 * protocol (then it calls DROP_PROTOCOL first, which ends our writing). Its own way of starting a close needs a return
 * value from a callback, and takes a WRITEABLE round. */
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

static bool send_close(struct ws_conn *conn, unsigned code, const char *reason)
{
    unsigned char frame[WS_HEADER_MAX + 2 + WS_REASON_MAX];
    size_t reason_len = cut_text(reason, WS_REASON_MAX), len = code ? 2 + reason_len : 0;
    unsigned char *payload = frame + WS_HEADER_MAX;
    payload[0] = (unsigned char)(code >> 8);
    payload[1] = (unsigned char)code;
    memcpy(payload + 2, reason, reason_len);
    unsigned char *start = ws_frame_prepend(payload, len, WS_CLOSE);
    return conn_send_control(conn, start, (size_t)(payload + len - start));
}

void ws_close(struct ws_conn *conn, enum ws_close_e code, const char *reason)
{
    struct ws *ws = conn->ws;
    if (conn->state != CONN_OPEN || !send_close(conn, code, reason ? reason : ""))
        return;
    conn_set_state(conn, CONN_CLOSING);
    conn_start_timer(conn, ws_now(ws) + WS_CLOSE_LIMIT_NS);
}

void conn_close_now(struct ws_conn *conn, enum ws_close_e code, const char *reason)
{
    if (conn->state == CONN_OPEN && send_close(conn, code, reason))
        conn_kill(conn);
}

void ws_close_all(struct ws *ws, enum ws_close_e code, const char *reason)
{
    size_t cursor = 0;
    for (struct ws_conn *conn; (conn = conn_next(ws, &cursor)) != NULL;)
        ws_close(conn, code, reason);
}

/* Codes that may stand in a Close frame: RFC 6455 section 7.4 and IANA's registry. */
static bool code_is_good(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static unsigned answer_code(const unsigned char *payload, size_t len)
{
    if (len == 0)
        return 0; /* a Close without a code is answered likewise */
    unsigned code = len >= 2 ? (unsigned)payload[0] << 8 | payload[1] : 0;
    if (!code_is_good(code))
        return WS_CLOSE_PROTOCOL;
    return utf8_is_valid((const char *)payload + 2, len - 2) ? code : WS_CLOSE_INVALID_UTF8;
}

/* The caller of this returns −1 to libwebsockets, which then drops the connection, after what it still has to send. */
void conn_peer_closes(struct ws_conn *conn, const unsigned char *payload, size_t len)
{
    if (conn->state != CONN_OPEN)
        return; /* the answer to our own */
    unsigned code = answer_code(payload, len);
    conn->ws->counts.protocol_errors += code == WS_CLOSE_PROTOCOL;
    conn->ws->counts.bad_utf8 += code == WS_CLOSE_INVALID_UTF8;
    if (send_close(conn, code, ""))
        conn_set_state(conn, CONN_CLOSING);
}

static bool peer_is_there(const struct ws_conn *conn)
{
    char byte;
    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

/* libwebsockets is about to close: its parser found a breach of the protocol, or the peer is gone. For some breaches
 * (a long control frame, a length with its top bit set) it has no close code ready and would just drop the connection;
 * those get their 1002 here. */
void conn_library_closes(struct ws_conn *conn)
{
    static unsigned char reason[] = "malformed frame";
    struct ws *ws = conn->ws;
    if (conn->state != CONN_OPEN)
        return;
    if (lws_get_close_length(conn->wsi) == 0 && peer_is_there(conn))
        lws_close_reason(conn->wsi, LWS_CLOSE_STATUS_PROTOCOL_ERR, reason, sizeof reason - 1);
    if (lws_get_close_length(conn->wsi) > 0)
        ws->counts.protocol_errors++;
    conn_set_state(conn, CONN_CLOSING);
    conn_start_timer(conn, ws_now(ws) + WS_CLOSE_LIMIT_NS);
}
