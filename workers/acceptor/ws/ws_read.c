/* Between libwebsockets and its sockets: what it reads passes through here (Hop: C1).
 *
 * libwebsockets reads plain sockets with recv(2) alone, and a symbol that the program defines takes precedence over
 * libc's for every library in the process: so this file defines recv(). In other threads (ZeroMQ's) and for
 * descriptors that are no open connection of this thread's, it is recv() and nothing else. For those it does two
 * things that libwebsockets has no hook for:
 *
 *   - It refuses unmasked frames with 1002, as RFC 6455 section 5.1 demands. libwebsockets accepts them and shows the
 *     mask bit to nobody; when it calls back, the header is gone and the payload unmasked in place.
 *   - It reads ahead. libwebsockets reads at most what its buffer of every single connection holds (256 bytes), and
 *     needs about 2 µs and three system calls for each such piece; a client that sends much would cost us 40 times
 *     its own effort. Here up to 16 KiB are read at once into one of a few shared blocks, and libwebsockets is served
 *     the rest from there, without system calls, before the loop's iteration ends (README.md has the figures).
 *
 * If a later libwebsockets reads in another way, nothing passes here and all is as if this file were not there;
 * ws_test notices. Rejected: MSG_PEEK before it reads (its libuv plugin owns the poll callback, nothing can run
 * between), a second epoll set and its receiving switched off and on per frame (four system calls per message), a
 * larger buffer per connection (4 KiB each), our own parser behind its raw role (then it would do nothing here). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gate_head.h"
#include "ws_internal.h"

#define AHEAD_BYTES 16384u
#define AHEAD_COUNT 8u

/* Bytes of `conn` that were read and not yet given to libwebsockets. */
struct ahead {
    struct ws_conn *conn; /* NULL: free */
    size_t at, len;
    unsigned char data[AHEAD_BYTES];
};

struct ws_reader {
    struct ws *ws;
    struct ws_conn **by_fd;
    size_t by_fd_count;
    uv_check_t check; /* runs after the iteration's I/O, while a block is in use */
    struct ahead blocks[AHEAD_COUNT];
};

static _Thread_local struct ws_reader *reader;

/* --- masks ------------------------------------------------------------------------------------------------------------ */

static void breach(struct ws_conn *conn)
{
    conn->masks.breach = true;
    if (conn->state != CONN_OPEN)
        return;
    conn->ws->counts.protocol_errors++;
    ws_close(conn, WS_CLOSE_PROTOCOL, "an unmasked frame");
}

/* False: a breach, now or before. Then nothing of what the peer sends is passed on, and the close limit ends it. */
static bool look_at(struct ws_conn *conn, const void *data, size_t len)
{
    if (!conn->masks.breach && !mask_scan_feed(&conn->masks, data, len))
        breach(conn);
    return !conn->masks.breach;
}

/* --- reading ahead ---------------------------------------------------------------------------------------------------- */

static struct ahead *find_block(struct ws_reader *r, const struct ws_conn *conn)
{
    for (size_t i = 0; i < AHEAD_COUNT; i++)
        if (r->blocks[i].conn == conn)
            return &r->blocks[i];
    return NULL;
}

static size_t serve(struct ahead *block, void *buffer, size_t len)
{
    size_t left = block->len - block->at, step = left < len ? left : len;
    memcpy(buffer, block->data + block->at, step);
    block->at += step;
    if (block->at == block->len)
        block->conn = NULL;
    return step;
}

/* Lets libwebsockets read until the block is used up. It may put a read off once, for bytes that came with the head;
 * one that does not read at all is broken, and dropped. */
static void drain(struct ws_reader *r, struct ahead *block)
{
    struct ws_conn *conn = block->conn;
    struct lws_pollfd polled = {.fd = conn->fd};
    for (unsigned idle = 0; block->conn == conn && idle < 64;) {
        size_t at = block->at;
        polled.events = polled.revents = LWS_POLLIN;
        lws_service_fd(r->ws->context, &polled);
        idle = block->at == at ? idle + 1 : 0;
    }
    if (block->conn == conn) {
        block->conn = NULL;
        conn_kill(conn);
    }
}

static void on_check(uv_check_t *check)
{
    struct ws_reader *r = check->data;
    for (size_t i = 0; i < AHEAD_COUNT; i++)
        if (r->blocks[i].conn != NULL)
            drain(r, &r->blocks[i]);
    uv_check_stop(check);
}

static ssize_t read_ahead(struct ws_reader *r, struct ahead *block, struct ws_conn *conn, void *buffer,
                          size_t len)
{
    ssize_t got = recvfrom(conn->fd, block->data, sizeof block->data, 0, NULL, NULL);
    if (got <= 0)
        return got;
    if (!look_at(conn, block->data, (size_t)got)) {
        errno = EAGAIN;
        return -1;
    }
    block->conn = conn;
    block->at = 0;
    block->len = (size_t)got;
    size_t served = serve(block, buffer, len);
    if (block->conn != NULL)
        uv_check_start(&r->check, on_check);
    return (ssize_t)served;
}

static ssize_t read_plainly(struct ws_conn *conn, void *buffer, size_t len)
{
    ssize_t got = recvfrom(conn->fd, buffer, len, 0, NULL, NULL);
    if (got <= 0 || look_at(conn, buffer, (size_t)got))
        return got;
    errno = EAGAIN;
    return -1;
}

static ssize_t read_for_library(struct ws_reader *r, struct ws_conn *conn, void *buffer, size_t len)
{
    struct ahead *block = find_block(r, conn);
    if (block != NULL)
        return (ssize_t)serve(block, buffer, len);
    block = find_block(r, NULL);
    return block ? read_ahead(r, block, conn, buffer, len) : read_plainly(conn, buffer, len);
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
    struct ws_reader *r = reader;
    if (r == NULL || flags != 0 || (size_t)fd >= r->by_fd_count || r->by_fd[fd] == NULL)
        return recvfrom(fd, buffer, len, flags, NULL, NULL);
    return read_for_library(r, r->by_fd[fd], buffer, len);
}

/* --- which connections ------------------------------------------------------------------------------------------------ */

enum err_e reader_init(struct ws *ws)
{
    MUST(reader == NULL); /* one per thread */
    struct ws_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_MEMORY;
    r->ws = ws;
    uv_check_init(ws->config.loop, &r->check);
    uv_unref((uv_handle_t *)&r->check);
    r->check.data = r;
    ws->reader = reader = r;
    return ERR_OK;
}

static void on_check_closed(uv_handle_t *handle)
{
    struct ws_reader *r = handle->data;
    free(r->by_fd);
    free(r);
}

void reader_fini(struct ws *ws)
{
    if (ws->reader == NULL)
        return;
    reader = NULL;
    uv_close((uv_handle_t *)&ws->reader->check, on_check_closed);
    ws->reader = NULL;
}

static bool reserve(struct ws_reader *r, size_t need)
{
    size_t count = r->by_fd_count ? r->by_fd_count : 256;
    while (count < need)
        count *= 2;
    if (count == r->by_fd_count)
        return true;
    struct ws_conn **grown = realloc(r->by_fd, count * sizeof(struct ws_conn *));
    if (grown == NULL)
        return false;
    memset(grown + r->by_fd_count, 0, (count - r->by_fd_count) * sizeof(struct ws_conn *));
    r->by_fd = grown;
    r->by_fd_count = count;
    return true;
}

bool conn_start_reading(struct ws_conn *conn)
{
    struct ws_reader *r = conn->ws->reader;
    if (!reserve(r, (size_t)conn->fd + 1))
        return false;
    r->by_fd[conn->fd] = conn;
    const struct gate_request *request = conn->ws->request;
    look_at(conn, request->behind, request->behind_len); /* libwebsockets got these with the head */
    return true;
}

void conn_stop_reading(struct ws_conn *conn)
{
    struct ws_reader *r = conn->ws->reader;
    if (conn->fd < 0 || (size_t)conn->fd >= r->by_fd_count || r->by_fd[conn->fd] != conn)
        return;
    r->by_fd[conn->fd] = NULL;
    struct ahead *block = find_block(r, conn);
    if (block != NULL)
        block->conn = NULL;
}
