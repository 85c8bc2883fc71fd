/* pool_internal.h — what the pool's files share.
 *
 *     handler ── link (one per process) ── connections that belong to it ── events
 *        │                                   ready: those that have something to send, in turn, POOL_TURN events each
 *        ├─ homeless: connections without a process
 *        └─ due: unanswered messages; all have the same deadline_ms, so the oldest is due first
 *
 * A message is `waiting` at its connection; then `unwritten`: numbered, in the link's out buffer, not all of it with the kernel; then
 * `flying`: written, not answered. What a link's end does to it depends on that alone: waiting and unwritten ones go to another
 * process, flying ones have failed. OPEN and CLOSED are not queued: a connection's state says which it needs next, and it has one of
 * them under way at most (CLOSED waits for OPEN's TAKEN), so that both live in the connection and need no memory when they are due.
 *
 * Events of pool.h are called last in every function that does: what they call back may change any connection and event, but
 * never ends a link.
 */
#pragma once

#include <uv.h>

#include "backoff.h"
#include "list.h"
#include "log.h"
#include "map.h"
#include "pool.h"

#define POOL_WAITING_MAX   4096u         /* messages that wait for a handler … */
#define POOL_WAITING_BYTES (4u << 20)    /* … and their bytes; a lone larger one may wait */
#define POOL_TURN          8u            /* events of one connection in a row */
#define POOL_OUT_BYTES     (64u * 1024u) /* encoded and not written: no more is encoded then */
#define POOL_IN_BYTES      (64u * 1024u) /* of a link's buffer, unless a larger frame comes */
#define POOL_FRAME_BUDGET  64u           /* frames of a link per wake-up */
#define POOL_SMALL_BYTES   1024u         /* a larger body is given back as soon as it is written */
#define POOL_WELCOME_NS    (5 * NS_PER_S)
#define POOL_ENDING_NS     (5 * NS_PER_S) /* from a kill, or a write that failed, to the end of the stream */
#define POOL_RETRY_MIN_NS  (10 * NS_PER_MS)
#define POOL_RETRY_MAX_NS  (1 * NS_PER_S)
#define POOL_SETTLED_NS    (1 * NS_PER_S) /* up for so long: the next outage begins with the shortest pause */
#define POOL_STRIDE_NS     (1 * NS_PER_S) /* the most that one tick counts towards a handler's silence */
#define POOL_UNASKED_NS    (50 * NS_PER_US) /* what one SEND, PUBLISH, … costs a link: 20,000/s … */
#define POOL_UNASKED_BURST 120u             /* … and so many at once */

struct pool_event {
    struct list_node of_conn; /* its connection's waiting or sent */
    struct list_node of_link; /* its link's unwritten or flying; the pool's failed */
    struct list_node due;     /* its handler's; alone: answered, or OPEN, CLOSED */
    struct pool_conn *conn;   /* NULL: written, and the connection is gone for good */
    enum handler_message_e type;
    bool written;
    uint32_t len;
    uint64_t token, due_ns, sent_ns;
    uint64_t number; /* on its link; 0: not on any */
    uint64_t end;    /* place in the link's stream behind its frame */
    char *body;      /* behind the struct if it is small; NULL: given back, because it is written */
};

enum conn_state_e { CONN_NEW, CONN_OPENING, CONN_OPEN, CONN_CLOSING }; /* at its link */

struct pool_conn {
    struct pool *pool;
    struct pool_handler *handler;
    struct pool_link *link; /* NULL: homeless */
    void *owner;
    uint64_t id;
    enum conn_state_e state;
    bool taken; /* OPEN was TAKEN, by whichever process: the next one is resumed */
    bool gone;  /* pool_close() */
    size_t endpoint;
    struct list_node of_link; /* the link's conns, or the handler's homeless */
    struct list_node ready;
    struct list_node waiting, sent;
    struct pool_event life; /* OPEN or CLOSED, under way if its number is not 0 */
    struct handler_text query, principal, peer;
    char texts[];
};

enum link_state_e { LINK_DOWN, LINK_GREETING, LINK_UP };
enum pause_e { PAUSE_NONE, PAUSE_PUBLISH, PAUSE_RATE }; /* why a link is not read */

struct link_poll { /* outlives its descriptor until libuv has closed the handle */
    uv_poll_t poll;
    struct pool_link *link;
};

struct pool_link {
    struct pool *pool;
    struct pool_handler *handler;
    uint32_t index;
    enum link_state_e state;
    int fd;
    struct link_poll *poll;
    int watched; /* of libuv's events */

    struct backoff backoff;
    uint64_t due_ns; /* DOWN: try again; GREETING: WELCOME must be here */
    uint64_t up_ns;
    bool outage; /* logged */
    struct log_limit log_limit;

    char *in;
    size_t in_at, in_len, in_cap;
    bool more; /* whole frames are in it */
    enum pause_e pause;
    uint64_t unasked_ns; /* up to this time its unasked messages are paid for */

    msgpack_sbuffer out;
    size_t out_at;
    uint64_t out_end, out_sent; /* places in the stream */
    bool full;                  /* the socket is */
    bool broken;                /* writing failed: the end is to be read */
    uint64_t ending_ns;         /* broken or killed: by then it must be */

    int pidfd;
    bool killed;
    uint64_t quiet_since_ns; /* on pool.awake_ns: heard, or began to wait for an answer */

    uint64_t last_number;
    struct map window; /* number → event */
    struct list_node unwritten, flying;
    struct list_node conns, ready, dirty;
    size_t conn_count;
};

struct pool_handler {
    struct pool *pool;
    const struct conf_handler *conf;
    size_t index;
    struct pool_link *links;
    uint32_t link_count;
    struct list_node homeless, due;
    uint32_t waiting;
    size_t waiting_bytes;
    uint64_t deadline_ns, stuck_ns;
    bool pressed;
    struct log_limit log_limit;
};

struct pool_uv { /* outlives the pool until libuv has closed all */
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t more;
    uv_timer_t retry;
    struct pool *pool;
    unsigned handles;
};

struct pool {
    struct pool_config config;
    struct pool_handler *handlers;
    size_t handler_count;
    struct pool_link *links; /* of all handlers */
    uint32_t link_count;
    struct map conns; /* id → conn */
    uint64_t last_conn;
    struct list_node dirty;  /* links with something to write */
    struct list_node failed; /* messages whose process is gone; only while a link ends */
    uint32_t paused;         /* links that are not read for a while */
    uint32_t pressed;        /* handlers */
    uint32_t more;           /* links with whole frames in their buffers */
    uint64_t last_tick_ns, awake_ns;
    msgpack_zone zone; /* of the message that is being heard */
    struct pool_uv *uv;
    struct pool_counts counts;
};

static inline uint64_t pool_now(const struct pool *pool)
{
    return clock_mono_ns(pool->config.clock);
}

/* --- pool_conn.c ---------------------------------------------------------------------------------------------------- */

enum handler_message_e pool_conn_next(const struct pool_conn *conn); /* 0: nothing */
void pool_conn_ready(struct pool_conn *conn);                        /* it may have something to send */
void pool_conn_place(struct pool_conn *conn); /* homeless: to a process, if there is one */
void pool_conn_leave(struct pool_conn *conn); /* its link ended */
/* Its link is going to end, and the process is not: there on_disconnect runs. */
void pool_conn_anew(struct pool_conn *conn);
void pool_conn_free(struct pool_conn *conn);
void pool_conn_taken(struct pool_conn *conn);
/* One that the link's process may speak of; NULL: gone, or elsewhere. */
struct pool_conn *pool_conn_of(const struct pool_link *link, uint64_t id);

/* --- pool_event.c --------------------------------------------------------------------------------------------------- */

/* A message that waits. ERR_FULL, ERR_MEMORY. */
enum err_e pool_event_wait(struct pool_conn *conn, const void *body, size_t len, uint64_t token);
void pool_event_free(struct pool_event *event); /* a message, wherever it is; tells nobody */
/* As many as window and buffer allow, to the link's out buffer. */
void pool_event_fill(struct pool_link *link);
/* link->out_sent has moved on. */
void pool_event_written(struct pool_link *link);
bool pool_event_overdue(const struct pool_link *link);
/* False: there is none of that type and number. */
bool pool_event_taken(struct pool_link *link, uint64_t number);
bool pool_event_reply(struct pool_link *link, uint64_t number, const struct pool_answer *answer);
void pool_event_timeouts(struct pool_handler *handler);
void pool_event_drained(struct pool *pool); /* calls back */
/* The link has ended: its events go back to their connections, or to pool.failed. */
void pool_event_link_ended(struct pool_link *link);
void pool_event_tell_failed(struct pool *pool); /* calls back */

/* --- pool_link.c ---------------------------------------------------------------------------------------------------- */

void pool_link_init(struct pool *pool, struct pool_handler *handler, struct pool_link *link, uint32_t index);
void pool_link_fini(struct pool_link *link);
void pool_link_connect(struct pool_link *link);
void pool_link_welcome(struct pool_link *link, struct handler_text program);
/* The stream has ended, or the process lives on and is left; both call back. */
void pool_link_end(struct pool_link *link, const char *reason);
void pool_link_leave(struct pool_link *link, const char *reason);
void pool_link_breach(struct pool_link *link, const char *what); /* it is left */
void pool_link_dirty(struct pool_link *link);
void pool_link_flush(struct pool_link *link);
void pool_link_serve(struct pool_link *link);
void pool_link_resume(struct pool_link *link);        /* if the reason of its pause is gone */
uint64_t pool_link_due(const struct pool_link *link); /* when to look after it; UINT64_MAX: no need to */
void pool_link_tick(struct pool_link *link);

/* --- pool_hear.c ---------------------------------------------------------------------------------------------------- */

/* The two in the middle: not now, the link is to pause. */
enum hear_e { HEARD, HEAR_WHEN_PUBLISHING, HEAR_WHEN_PAID, HEAR_ENDED };
enum hear_e pool_hear(struct pool_link *link, const char *message, size_t len);

/* --- pool_stuck.c --------------------------------------------------------------------------------------------------- */

/* Asks the kernel to say who sends; before the socket connects. */
void pool_stuck_ask(struct pool_link *link);
/* read() that also learns who sent, until that is known. */
ssize_t pool_stuck_recv(struct pool_link *link, void *to, size_t room);
void pool_stuck_forget(struct pool_link *link);
void pool_stuck_heard(struct pool_link *link);
void pool_stuck_tick(struct pool_link *link);        /* calls back */
short pool_stuck_look(const struct pool_link *link); /* poll()'s events of its socket */

/* --- pool.c --------------------------------------------------------------------------------------------------------- */

void pool_arm(struct pool *pool);        /* the timer for links that are down */
void pool_serve_more(struct pool *pool); /* pool->more has changed */
