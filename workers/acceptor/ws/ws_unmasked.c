/* Unmasked client frames are refused with 1002, as RFC 6455 section 5.1 demands and libwebsockets does not do.
 *
 * libwebsockets parses the mask bit, accepts either value, and shows it to nobody; by the time it calls back the
 * payload is unmasked in place and the header gone. But it reads plain sockets with recv(2) alone, and a symbol that
 * the program defines takes precedence over libc's for every library in the process. So this file defines recv():
 * the bytes come from recvfrom(2) as ever, and those of an open connection pass a scanner that hops from frame header
 * to frame header. No system call, about 10 ns per frame, 16 bytes per connection. In other threads (ZeroMQ's) and
 * for all other descriptors it is recv() and nothing else.
 *
 * If a later libwebsockets reads in another way, the scanner sees nothing and unmasked frames are let through as
 * before; ws_test notices. Rejected: looking with MSG_PEEK before libwebsockets reads (its libuv plugin owns the poll
 * callback, nothing can run between), a second epoll set with its receiving switched off and on per frame (four
 * system calls per message), our own parser behind the raw role (then libwebsockets would do nothing here). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gate_head.h"
#include "ws_internal.h"

static _Thread_local struct ws *watching;

/* The first two bytes of a header, at which it is decided; the rest is only length and mask key. */
static bool second_byte(struct mask_scan *scan, unsigned char c)
{
    unsigned len = c & 0x7f;
    scan->length_bytes = len == 126 ? 2 : len == 127 ? 8 : 0;
    scan->payload = scan->length_bytes ? 0 : len;
    return (c & 0x80) != 0;
}

static bool header_byte(struct mask_scan *scan, unsigned char c)
{
    unsigned at = scan->at++;
    if (at == 1)
        return second_byte(scan, c);
    if (at >= 2 && at < 2u + scan->length_bytes)
        scan->payload = scan->payload << 8 | c;
    if (at == 1u + scan->length_bytes + 4u)
        scan->at = 0; /* that was the mask key's last byte */
    return true;
}

bool mask_scan_feed(struct mask_scan *scan, const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (scan->at == 0 && scan->payload > 0) {
            size_t step = scan->payload < len - i ? (size_t)scan->payload : len - i;
            scan->payload -= step;
            i += step;
        } else if (!header_byte(scan, data[i++])) {
            return false;
        }
    }
    return true;
}

static void breach(struct ws_conn *conn)
{
    conn->masks.breach = true;
    if (conn->state != CONN_OPEN)
        return;
    conn->ws->counts.protocol_errors++;
    ws_close(conn, WS_CLOSE_PROTOCOL, "an unmasked frame");
}

/* What libwebsockets is given of `got` bytes: all of them, or after a breach none, as if nothing had arrived; the
 * close limit ends the connection. */
static ssize_t look_at(struct ws_conn *conn, const void *data, ssize_t got)
{
    if (!conn->masks.breach && !mask_scan_feed(&conn->masks, data, (size_t)got))
        breach(conn);
    if (!conn->masks.breach)
        return got;
    errno = EAGAIN;
    return -1;
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
    ssize_t got = recvfrom(fd, buffer, len, flags, NULL, NULL);
    const struct ws *ws = watching;
    if (got <= 0 || ws == NULL || (size_t)fd >= ws->by_fd_count || ws->by_fd[fd] == NULL || (flags & MSG_PEEK))
        return got;
    return look_at(ws->by_fd[fd], buffer, got);
}

void unmasked_init(struct ws *ws)
{
    MUST(watching == NULL); /* one per thread */
    watching = ws;
}

void unmasked_fini(struct ws *ws)
{
    if (watching == ws)
        watching = NULL;
    free(ws->by_fd);
}

bool conn_watch_masks(struct ws_conn *conn)
{
    struct ws *ws = conn->ws;
    size_t need = (size_t)conn->fd + 1, count = ws->by_fd_count ? ws->by_fd_count : 256;
    while (count < need)
        count *= 2;
    if (count > ws->by_fd_count) {
        struct ws_conn **grown = realloc(ws->by_fd, count * sizeof(struct ws_conn *));
        if (grown == NULL)
            return false;
        memset(grown + ws->by_fd_count, 0, (count - ws->by_fd_count) * sizeof(struct ws_conn *));
        ws->by_fd = grown;
        ws->by_fd_count = count;
    }
    ws->by_fd[conn->fd] = conn;
    const struct gate_request *request = ws->request;
    if (!mask_scan_feed(&conn->masks, (const void *)request->behind, request->behind_len))
        breach(conn);
    return true;
}

void conn_unwatch_masks(struct ws_conn *conn)
{
    if (conn->fd >= 0 && (size_t)conn->fd < conn->ws->by_fd_count && conn->ws->by_fd[conn->fd] == conn)
        conn->ws->by_fd[conn->fd] = NULL;
}
