/* ws.h — the worker's WebSocket connections: sockets in, messages out, and raw pre-framed bytes to the wire
 * (Hops: C1, D11, R4). The only user of libwebsockets.
 *
 * libwebsockets runs as a guest on the worker's libuv loop. It never listens, accepts or reads a first byte: the gate
 * (gate.h) accepts, reads and judges each request's head, and a good one is adopted here with a normalised head. What
 * Noria sends is framed already and goes to the socket by ws_write(), past libwebsockets' own framing, with one
 * send(2) for a whole batch. What clients send is parsed, checked and answered here, too (RFC 6455, all of it; the suite is
 * tests/conformance). libwebsockets has the handshake, the sockets on the loop, the remainder of a frame that a socket
 * did not take, and the end of connections.
 *
 * One thread. All callbacks come from the loop. A connection may be closed from within any callback; `closed` then
 * comes later, once, and is the last callback of a connection; its memory is valid until that returns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "clock.h"
#include "errcode.h"
#include "gate_peer.h"

struct ws;
struct ws_conn;
struct gate_request; /* gate.h: path, query, headers as judged; valid during `open` only */
typedef struct uv_loop_s uv_loop_t;

enum ws_close_e {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_INVALID_UTF8 = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_LARGE = 1009,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_RESTARTING = 1012,
    WS_CLOSE_TRY_LATER = 1013
};

struct ws_events {
    /* The 101 is on its way; writing is allowed from here on. `listener` is the index given to the gate. False: the
     * connection is dropped at once (no `closed` follows). */
    bool (*open)(void *arg, struct ws_conn *conn, const struct gate_request *request, unsigned listener);
    /* A whole message (fragments joined, UTF-8 checked if text), at most max_message_bytes; valid during the call. */
    void (*message)(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary);
    /* The socket has taken all that ws_write() could not write: go on. */
    void (*writable)(void *arg, struct ws_conn *conn);
    /* The connection is gone; frees what `open` made. */
    void (*closed)(void *arg, struct ws_conn *conn);
    /* The messages of one read have been told, or a Close frame goes next: what the owner has kept back for this connection it writes
     * now, or never. NULL: nothing is kept back. */
    void (*settle)(void *arg, struct ws_conn *conn);
};

struct ws_config {
    uv_loop_t *loop;
    const struct clock *clock; /* NULL: clock_system() */
    size_t user_bytes;         /* zeroed bytes of the caller's in every connection, see ws_user() */
    uint32_t max_message_bytes;
    size_t message_budget_bytes;                /* for all unfinished messages together; 0: 16 MiB */
    uint32_t ping_interval_ms, ping_timeout_ms; /* interval 0: no pings */
    /* Frames (messages, fragments, control frames) of one connection per second, over two seconds; who sends more is
     * not read for a while (backpressure, counted). 0: no limit. */
    uint32_t max_messages_per_s;
    const struct ws_events *events;
    void *arg;
};

/* Other limits, also for connections that are there: pings are planned anew where their interval changes, and who is not read because of the
 * old rate is read again. */
struct ws_limits {
    uint32_t max_message_bytes, ping_interval_ms, ping_timeout_ms, max_messages_per_s; /* as in ws_config */
};
void ws_set_limits(struct ws *ws, const struct ws_limits *limits);

/* One per thread (ws_read.c defines recv() for it). ERR_MEMORY or ERR_SYSTEM (logged). */
enum err_e ws_new(const struct ws_config *config, struct ws **ws);
/* Drops what is left without a close handshake (`closed` is called). Use ws_close_all() before and wait until
 * ws_count() is 0. Turns the loop, without waiting, until libuv has closed its handles: not from a callback. */
void ws_free(struct ws **ws);

/* Takes over a connected, non-blocking socket whose request head the gate has read and accepted. On failure the
 * socket is closed. */
enum err_e ws_adopt(struct ws *ws, int fd, const struct gate_request *request, unsigned listener);

size_t ws_count(const struct ws *ws);
void ws_close_all(struct ws *ws, enum ws_close_e code, const char *reason);
/* Those of them that are open: no Close was said yet, by either side. */
size_t ws_open_count(const struct ws *ws);
/* The next open connection from *cursor on (0 at first), which moves behind it; NULL: there is none up to the end. Connections may come and
 * go between two calls: one that is open all the time is met once from 0 to the end. */
struct ws_conn *ws_next(const struct ws *ws, size_t *cursor);
/* Every connection that is open. */
void ws_each(struct ws *ws, void (*each)(void *arg, struct ws_conn *conn), void *arg);

void *ws_user(struct ws_conn *conn);
void ws_peer_name(const struct ws_conn *conn, char name[GATE_PEER_MAX]); /* gate_peer.h */
uint64_t ws_serial(const struct ws_conn *conn); /* never reused within this process; from 1 */

/* Room for bytes: false while an earlier remainder waits, before the 101 is out, and once closing has begun. No
 * system call. */
bool ws_can_write(const struct ws_conn *conn);

/* Writes complete frames that lie one behind the other. *taken is how many bytes are done with, always at a frame
 * boundary: what the socket took, plus, if it stopped inside a frame, the rest of that frame (kept by libwebsockets
 * and sent before anything else; `writable` follows). The caller repeats the other bytes later. Does not call back.
 * ERR_CLOSED: the connection is dead or closing; `closed` comes later. */
enum err_e ws_write(struct ws_conn *conn, const void *frames, size_t len, size_t *taken);
/* The same for frames in pieces; each piece starts and ends at a frame boundary. At most 64 pieces. */
enum err_e ws_writev(struct ws_conn *conn, const struct iovec *pieces, int count, size_t *taken);

/* Starts the close handshake: nothing more is written, messages that still arrive are dropped; the socket is closed
 * after the peer's answer or a time limit of 2 s. Reason: at most 123 bytes of UTF-8. */
void ws_close(struct ws_conn *conn, enum ws_close_e code, const char *reason);

/* Not read until released: backpressure for a client whose messages cannot be passed on now. What one read (16 KiB) has
 * brought already is still delivered. Counts as heard, so that pings do not close it. From any callback; nothing on a
 * connection that closes, or is held (released) already. */
void ws_hold(struct ws_conn *conn);
void ws_release(struct ws_conn *conn);

/* As if `frames` more had come: what a message costs beyond itself. From `message`. */
void ws_charge(struct ws_conn *conn, unsigned frames);

/* Every code with which a connection was closed from here has its counter. */
#define WS_CLOSE_CODES(X) X(1000) X(1001) X(1002) X(1007) X(1008) X(1009) X(1011) X(1012) X(1013)

/* Counters kept by this module. A connection that was open ends in one of these ways: closed_…, peer_closed, peer_gone. */
struct ws_counts {
#define X(code) uint64_t closed_##code;
    WS_CLOSE_CODES(X)
#undef X
    uint64_t closed_other; /* a handler's code */
    uint64_t peer_closed;  /* the peer said Close first */
    uint64_t peer_gone;    /* … or nothing: its connection ended, or its socket failed */
    uint64_t opened, closed, messages, bytes_in, bytes_out, writes, short_writes, pings, ping_timeouts;
    uint64_t protocol_errors, too_large, bad_utf8;
    uint64_t over_budget;  /* closed with 1013, because unfinished messages had used up their budget */
    uint64_t throttled;    /* pauses in reading, because of max_messages_per_s */
    uint64_t held;         /* ws_hold() */
    uint64_t adopt_errors; /* sockets that died, or memory that was missing, between the gate and `open` */
};
const struct ws_counts *ws_counts(const struct ws *ws);
