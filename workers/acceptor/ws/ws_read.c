/* Between libwebsockets and its sockets: what the peer sends is read, parsed and answered here (Hop: C1).
 *
 * libwebsockets reads plain sockets with recv(2) alone, and a symbol that the program defines takes precedence over
 * libc's for every library in the process: so this file defines recv(). In other threads (ZeroMQ's) and for
 * descriptors that are no open connection of this thread's, it is recv() and nothing else. For those it reads up to
 * 16 KiB at once into one buffer that all connections share, parses all of it (ws_parse.h), calls what it calls, and
 * tells libwebsockets that there was nothing to read; only the end of the stream and errors are passed on. So no byte
 * of a client reaches libwebsockets' parser, which needs 200 ns per frame and does not keep all of RFC 6455
 * (README.md), and an idle connection has no read buffer.
 *
 * A client that sends more than max_messages_per_s frames is not read for a while, and then TCP holds it back. The
 * account is one point in time per connection, up to which it has used its rate (GCRA); it may run up to two seconds
 * ahead, and a single read may overdraw it, which makes the pause longer.
 *
 * If a later libwebsockets reads in another way, nothing passes here, LWS_CALLBACK_RECEIVE closes the connection, and
 * ws_test notices. Rejected: handing on data frames alone (every message in pieces of 272 bytes at three system calls
 * each, unless it is served from buffers until it is through), MSG_PEEK before it reads (its libuv plugin owns the
 * poll callback, nothing can run between), its raw role after an upgrade of our own (a synthetic handshake less, but
 * then the end of every connection is ours, too). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gate_head.h"
#include "ws_internal.h"
#include "ws_parse.h"

#define INPUT_BYTES 16384u
#define BURST_NS    (2 * NS_PER_S)

struct ws_reader {
    struct ws *ws;
    struct ws_conn **by_fd;
    size_t by_fd_count;
    unsigned char input[INPUT_BYTES];
};

static _Thread_local struct ws_reader *reader;

/* --- frames ----------------------------------------------------------------------------------------------------------- */

static bool listens(const struct ws_conn *conn)
{
    return !conn->ended && (conn->state == CONN_OPEN || conn->state == CONN_CLOSING);
}

static void take_piece(struct ws_conn *conn, const struct ws_piece *piece)
{
    conn_heard(conn);
    if (piece->opcode & 8)
        conn_control(conn, piece);
    else
        conn_received(conn, piece);
}

/* How many frames began. */
static unsigned take_bytes(struct ws_conn *conn, unsigned char *data, size_t len)
{
    struct ws_piece piece;
    enum ws_parse_e result;
    unsigned frames = 0;
    while (listens(conn) && (result = ws_parse_next(&conn->parser, &data, &len, &piece)) != WS_PARSE_MORE) {
        frames += piece.begins;
        if (result == WS_PARSE_BREACH)
            conn_breach(conn, piece.breach);
        else
            take_piece(conn, &piece);
    }
    conn_flush_pongs(conn);
    conn_settle(conn);
    return frames;
}

/* --- rates ------------------------------------------------------------------------------------------------------------ */

/* Two reasons not to read, a rate and a hold; it is read when neither stands. */
static bool is_read(const struct ws_conn *conn)
{
    return conn->resume_ns == 0 && !conn->held;
}

static void set_reasons(struct ws_conn *conn, uint64_t resume_ns, bool held)
{
    bool was_read = is_read(conn);
    conn->resume_ns = resume_ns;
    conn->held = held;
    if (is_read(conn) != was_read)
        lws_rx_flow_control(conn->wsi, was_read ? 0 : 1);
}

static void pause_reading(struct ws_conn *conn, uint64_t until_ns)
{
    conn->ws->counts.throttled += conn->resume_ns == 0;
    set_reasons(conn, until_ns, conn->held);
    conn_schedule(conn);
}

void conn_resume(struct ws_conn *conn)
{
    set_reasons(conn, 0, conn->held);
}

void conn_read_on(struct ws_conn *conn)
{
    set_reasons(conn, 0, false);
}

void ws_hold(struct ws_conn *conn)
{
    if (conn->state != CONN_OPEN || conn->held)
        return;
    conn->ws->counts.held++;
    set_reasons(conn, conn->resume_ns, true);
}

void ws_release(struct ws_conn *conn)
{
    if (conn->state != CONN_OPEN || !conn->held)
        return;
    conn_heard(conn); /* a pong may be among what was not read */
    set_reasons(conn, conn->resume_ns, false);
}

static void charge(struct ws_conn *conn, unsigned frames)
{
    struct ws *ws = conn->ws;
    if (ws->config.max_messages_per_s == 0 || conn->state != CONN_OPEN)
        return;
    uint64_t now = ws_now(ws), paid = conn->paid_until_ns > now ? conn->paid_until_ns : now;
    conn->paid_until_ns = paid + frames * (NS_PER_S / ws->config.max_messages_per_s);
    if (conn->paid_until_ns > now + BURST_NS)
        pause_reading(conn, conn->paid_until_ns - BURST_NS);
}

void ws_charge(struct ws_conn *conn, unsigned frames)
{
    charge(conn, frames);
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */

void conn_feed(struct ws_conn *conn, const char *data, size_t len)
{
    struct ws_reader *r = conn->ws->reader;
    MUST(len <= sizeof r->input);
    memcpy(r->input, data, len);
    charge(conn, take_bytes(conn, r->input, len));
}

static ssize_t read_all(struct ws_reader *r, struct ws_conn *conn)
{
    ssize_t got = recvfrom(conn->fd, r->input, sizeof r->input, 0, NULL, NULL);
    if (got <= 0)
        return got;
    charge(conn, take_bytes(conn, r->input, (size_t)got));
    errno = EAGAIN;
    return -1;
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
    struct ws_reader *r = reader;
    if (r == NULL || flags != 0 || (size_t)fd >= r->by_fd_count || r->by_fd[fd] == NULL)
        return recvfrom(fd, buffer, len, flags, NULL, NULL);
    return read_all(r, r->by_fd[fd]);
}

/* --- which connections ------------------------------------------------------------------------------------------------ */

enum err_e reader_init(struct ws *ws)
{
    MUST(reader == NULL); /* one per thread */
    struct ws_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_MEMORY;
    r->ws = ws;
    ws->reader = reader = r;
    return ERR_OK;
}

void reader_fini(struct ws *ws)
{
    if (ws->reader == NULL)
        return;
    free(reader->by_fd);
    free(reader);
    ws->reader = reader = NULL;
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
    return true;
}

void conn_stop_reading(struct ws_conn *conn)
{
    struct ws_reader *r = conn->ws->reader;
    if (conn->fd >= 0 && (size_t)conn->fd < r->by_fd_count && r->by_fd[conn->fd] == conn)
        r->by_fd[conn->fd] = NULL;
}
