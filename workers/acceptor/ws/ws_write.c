/* Bytes to the wire, past libwebsockets (Hop: D11, R4).
 *
 * A batch is one send(2) or sendmsg(2) on the plain descriptor. If the socket stops inside a frame, only the rest of
 * that frame is given to libwebsockets, which keeps it, sends it first when the socket can take more, and keeps its
 * own control frames behind it; so no frame is ever torn and never more than one is copied. Whoever wrote repeats the
 * others from its cursor. Rejected: LWS_WRITE_RAW for whole batches (copies all that does not fit: a slow client would
 * cost its whole backlog instead of one frame) and writing in the WRITEABLE callback (an epoll round per batch). */
#include <errno.h>
#include <sys/socket.h>

#include "ws_frame.h"
#include "ws_internal.h"

void conn_kill(struct ws_conn *conn)
{
    if (conn->state >= CONN_DEAD)
        return;
    conn->ws->counts.peer_gone += conn->state == CONN_OPEN;
    conn_set_state(conn, CONN_DEAD);
    wheel_stop(&conn->ws->wheel, &conn->timer);
    lws_set_timeout(conn->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    lws_cancel_service(conn->ws->context); /* its timers are armed only when it has an event */
}

static bool remainder_waits(const struct ws_conn *conn)
{
    return lws_partial_buffered(conn->wsi) != 0;
}

static void ask_writable(struct ws_conn *conn)
{
    conn->wants_writable = true;
    lws_callback_on_writable(conn->wsi);
}

/* LWS_WRITE_RAW reads the bytes and never writes into them. */
static bool give_to_library(struct ws_conn *conn, const void *data, size_t len)
{
    return lws_write(conn->wsi, (unsigned char *)(uintptr_t)data, len, LWS_WRITE_RAW) >= 0;
}

/* What the socket took: 0 if it is full, −1 if it is dead. */
static ssize_t send_pieces(struct ws_conn *conn, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};
    ssize_t sent = count == 1 ? send(conn->fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                              : sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    conn->ws->counts.writes++;
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return sent;
}

/* Bytes from `offset` to the end of the frame that it lies in; 0 at a frame boundary. */
static size_t rest_of_frame(const struct iovec *piece, size_t offset)
{
    const unsigned char *base = piece->iov_base;
    size_t at = 0;
    while (at < offset) {
        size_t frame = ws_frame_total_len(base + at, piece->iov_len - at);
        MUST(frame > 0 && frame <= piece->iov_len - at);
        at += frame;
    }
    return at - offset;
}

/* The socket stopped after `sent` bytes. Returns all bytes that are done with. */
static enum err_e finish_short_write(struct ws_conn *conn, const struct iovec *pieces, size_t sent,
                                     size_t *taken)
{
    size_t offset = sent;
    while (offset >= pieces->iov_len)
        offset -= (pieces++)->iov_len;
    size_t rest = rest_of_frame(pieces, offset);
    conn->ws->counts.short_writes++;
    if (rest > 0 && !give_to_library(conn, (const char *)pieces->iov_base + offset, rest)) {
        conn_kill(conn);
        return ERR_CLOSED;
    }
    conn->ws->counts.bytes_out += sent + rest;
    *taken = sent + rest;
    ask_writable(conn);
    return ERR_OK;
}

bool ws_can_write(const struct ws_conn *conn)
{
    return conn->state == CONN_OPEN && !conn->wants_writable && !remainder_waits(conn);
}

enum err_e ws_writev(struct ws_conn *conn, const struct iovec *pieces, int count, size_t *taken)
{
    *taken = 0;
    MUST(count > 0 && count <= 64);
    if (conn->state != CONN_OPEN)
        return ERR_CLOSED;
    if (conn->wants_writable)
        return ERR_OK;
    if (remainder_waits(conn)) {
        ask_writable(conn);
        return ERR_OK;
    }
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    ssize_t sent = send_pieces(conn, pieces, count);
    if (sent < 0) {
        conn_kill(conn);
        return ERR_CLOSED;
    }
    if ((size_t)sent < total)
        return finish_short_write(conn, pieces, (size_t)sent, taken);
    conn->ws->counts.bytes_out += total;
    *taken = total;
    return ERR_OK;
}

enum err_e ws_write(struct ws_conn *conn, const void *frames, size_t len, size_t *taken)
{
    struct iovec piece = {(void *)(uintptr_t)frames, len};
    return ws_writev(conn, &piece, 1, taken);
}

bool conn_send_control(struct ws_conn *conn, const void *frame, size_t len)
{
    struct iovec piece = {(void *)(uintptr_t)frame, len};
    ssize_t sent = remainder_waits(conn) ? 0 : send_pieces(conn, &piece, 1);
    bool alive = sent >= 0;
    if (alive && (size_t)sent < len)
        alive = give_to_library(conn, (const char *)frame + sent, len - (size_t)sent);
    if (!alive)
        conn_kill(conn);
    return alive;
}

static void writeable_again(struct ws_conn *conn)
{
    conn_send_owed_pong(conn);
    if (!conn->wants_writable || conn->state != CONN_OPEN)
        return;
    conn->wants_writable = false;
    conn_heard(conn); /* its kernel takes bytes again, so somebody reads */
    conn->ws->config.events->writable(conn->ws->config.arg, conn);
}

void conn_writeable(struct ws_conn *conn)
{
    if (conn->state != CONN_OPEN && !conn->ended)
        return;
    if (remainder_waits(conn))
        lws_callback_on_writable(conn->wsi);
    else if (conn->ended)
        conn_all_said(conn);
    else
        writeable_again(conn);
}
