/* ws_internal.h — what the files of this module share; private to it.
 *
 * A connection's life. Only conn_set_state() changes the state, and only in this direction:
 *
 *     FREE ─► ADOPTING ─► OPEN ─► CLOSING ─► GONE ─► FREE
 *                 │         └───► DEAD ──────┘
 *                 └───────────────┘
 *
 *     ADOPTING  libwebsockets has the socket and the head, the 101 is not out
 *     OPEN      the only state in which anything but a remainder is written, and in which messages are delivered
 *     CLOSING   a Close frame is out, or the peer is gone; only its answer and the end of its stream are awaited
 *     DEAD      the socket failed, or a time limit passed; libwebsockets was told to drop it and will call back
 *     GONE      the caller was told; the block waits for libuv to close its handle
 */
#pragma once

#include <libwebsockets.h>
#include <uv.h>

#include "list.h"
#include "log.h"
#include "must.h"
#include "utf8.h"
#include "wheel.h"
#include "ws.h"
#include "ws_parse.h"

#define WS_CLOSE_LIMIT_NS (2 * NS_PER_S)
#define WS_REASON_MAX     123u

enum conn_state_e { CONN_FREE, CONN_ADOPTING, CONN_OPEN, CONN_CLOSING, CONN_DEAD, CONN_GONE };

struct ws_join;    /* an open fragmented message, ws_message.c */
struct ws_control; /* an incomplete control frame, a pong that waits; ws_control.c */

struct ws_conn {
    struct ws *ws;
    struct lws *wsi;
    uint64_t serial;
    /* OPEN: the next ping, the limit for an answer, the end of a pause; CLOSING: the limit for the peer's Close */
    struct wheel_node timer;
    uint64_t next_ping_ns, waiting_since_ns; /* the second: of the oldest ping without an answer; 0: none */
    struct ws_join *join;
    struct ws_control *control;
    uint64_t paid_until_ns,
        resume_ns; /* ws_read.c: its rate is used up to there; not read until then, 0: is read */
    struct ws_parser parser;
    int fd;
    uint8_t state;            /* enum conn_state_e */
    bool told_open;           /* `open` said yes, so `closed` is owed */
    bool wants_writable;      /* a write was short: `writable` is owed */
    bool ended;               /* CLOSING: all is said, what still comes is thrown away */
    bool held;                /* ws_hold(): not read, whatever resume_ns says */
    _Alignas(16) char user[]; /* config.user_bytes of the caller's */
};

struct ws {
    struct ws_config config;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws_protocols protocols[3];
    lws_retry_bo_t no_retry; /* zeroed: no validity timers, see README.md */
    void *foreign_loop;
    struct wheel wheel;
    uv_timer_t tick;
    bool tick_open;

    /* the connection that lws_adopt… is called for: its callbacks come before that returns */
    struct ws_conn *adopting;
    const struct gate_request *request;
    unsigned listener;

    /* blocks of connections */
    char **chunks;
    size_t chunk_count, block_bytes;
    struct ws_conn *free; /* linked through wsi */
    size_t open_count;    /* `open` told, `closed` not yet */
    size_t in_open;       /* in the state OPEN */
    uint64_t next_serial;

    size_t join_bytes; /* held by open fragmented messages */
    struct ws_reader *reader;
    struct ws_counts counts;
};

static inline uint64_t ws_now(const struct ws *ws)
{
    return clock_mono_ns(ws->config.clock);
}

/* Anything heard from the peer answers a ping. */
static inline void conn_heard(struct ws_conn *conn)
{
    conn->waiting_since_ns = 0;
}

/* ws_conn.c */
enum err_e conns_init(struct ws *ws);
void conns_fini(struct ws *ws);
struct ws_conn *conn_new(struct ws *ws); /* NULL: out of memory */
void conn_free(struct ws_conn *conn);
void conn_set_state(struct ws_conn *conn, enum conn_state_e state);
void conn_gone(struct ws_conn *conn); /* tells the caller, once */
struct ws_conn *conn_next(const struct ws *ws,
                          size_t *cursor); /* every OPEN one, from *cursor = 0; NULL at the end */

/* ws_write.c */
/* One control frame, whatever waits before it. False: the connection is now DEAD. */
bool conn_send_control(struct ws_conn *conn, const void *frame, size_t len);
void conn_writeable(struct ws_conn *conn);
/* Drops the connection soon, without another byte; callable from anywhere. */
void conn_kill(struct ws_conn *conn);

/* ws_close.c */
void conn_close_now(struct ws_conn *conn, enum ws_close_e code,
                    const char *reason); /* says why, does not wait */
/* Says why and looks at nothing more, not even the peer's answer (RFC 6455 section 7.1.7). */
void conn_settle(struct ws_conn *conn); /* the owner writes what it has kept back */
void conn_fail(struct ws_conn *conn, enum ws_close_e code, const char *reason);
void conn_breach(struct ws_conn *conn, const char *what); /* conn_fail() with 1002, counted */
void conn_peer_closes(struct ws_conn *conn, const unsigned char *payload, size_t len);
void conn_all_said(struct ws_conn *conn); /* CLOSING: half-closes, as soon as no remainder waits */
void conn_library_closes(struct ws_conn *conn);

/* ws_message.c */
void conn_received(struct ws_conn *conn, const struct ws_piece *piece);
void conn_drop_join(struct ws_conn *conn);

/* ws_control.c */
void conn_control(struct ws_conn *conn, const struct ws_piece *piece);
void conn_flush_pongs(struct ws_conn *conn);    /* those gathered for the connection that is being read */
void conn_send_owed_pong(struct ws_conn *conn); /* the socket takes bytes again */
void conn_drop_control(struct ws_conn *conn);

/* ws_read.c */
enum err_e reader_init(struct ws *ws);
void reader_fini(struct ws *ws);
bool conn_start_reading(struct ws_conn *conn); /* false: out of memory */
void conn_stop_reading(struct ws_conn *conn);
void conn_feed(struct ws_conn *conn, const char *data, size_t len); /* bytes that came with the head */
void conn_resume(struct ws_conn *conn);                             /* ends a pause */
void conn_read_on(struct ws_conn *conn);                            /* ends pause and hold: it is closing */

/* ws_ping.c */
enum err_e ticks_init(struct ws *ws);
void ticks_fini(struct ws *ws);
void conn_start_pings(struct ws_conn *conn);
void conn_start_timer(struct ws_conn *conn, uint64_t due_ns);
void ticks_changed(struct ws *ws);        /* other intervals */
void conn_schedule(struct ws_conn *conn); /* OPEN: starts the timer for what is due next, if anything is */
