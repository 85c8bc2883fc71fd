/* pool.h — handler processes as this worker sees them: a link to each process of each handler, and which connection belongs to
 * which of them (Hop: C2).
 *
 *     dialect ─ pool_open() ─▶ connection ─▶ process 0 … n of its handler, one of which has it
 *             ─ pool_send() ─▶ message ────▶ window ─▶ socket ─▶ handler ─▶ exactly one `answered`
 *             ─ pool_close() ▶ CLOSED, and the connection is the pool's own until it was TAKEN
 *
 * Knows sockets, processes, windows and deadlines; nothing of JSON, schemas, envelopes and the order of a client's answers, which
 * are the dialect's. The rules of exactly once are handler_wire.h's and HANDLER.md's.
 *
 * One thread, on the worker's libuv loop. Everything may be called from its events, but pool_free().
 */
#pragma once

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "conf.h"
#include "errcode.h"
#include "handler_wire.h"

typedef struct uv_loop_s uv_loop_t;

struct pool;
struct pool_conn; /* a client's connection to a handler */

enum pool_outcome_e {
    POOL_REPLY,      /* the handler's: status, body */
    POOL_FAILED,     /* its process died with the message, or broke the protocol: 500 */
    POOL_TIMEOUT,    /* deadline_ms passed while a process had it: 503 */
    POOL_UNAVAILABLE /* deadline_ms passed and no process had it: 503 */
};

struct pool_answer {
    enum pool_outcome_e outcome;
    uint64_t status;
    const msgpack_object *body; /* valid during the call; NULL: none */
};

/* `owner` is what pool_open() was given. After pool_close() no event names it any more. */
struct pool_events {
    void (*answered)(void *owner, uint64_t token, const struct pool_answer *answer);
    void (*send)(void *owner, uint64_t status, const msgpack_object *body);
    void (*subscribe)(void *owner, struct handler_text topic, bool subscribe);
    void (*close)(void *owner, unsigned code, struct handler_text reason);
    /* `except`: an owner, or NULL. ERR_NOT_FOUND: the handler has no such endpoint (a fault of the handler). Whatever is not ERR_OK is
     * logged and counted by the pool. */
    enum err_e (*publish)(void *arg, size_t handler, struct handler_text path, struct handler_text topic,
                          uint64_t status, const msgpack_object *body, void *except);
    bool (*may_publish)(
        void *arg); /* false: links are not read until it is true; asked in pool_tick(), too */
    /* pool_is_pressed() was true of this handler's connections and is false now. Never from within a call of the pool's. NULL: not
     * wanted. */
    /* What one turn of a link brought has been told; NULL: nobody wants to know. */
    void (*heard)(void *arg);
    void (*drained)(void *arg, size_t handler);
};

struct pool_config {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct conf *conf; /* handlers, endpoints, paths of sockets */
    const char *worker;      /* a name of this worker, for the handler's logs */
    uint32_t max_answer_bytes;
    const struct pool_events *events;
    void *arg;
    uint64_t seed; /* of the back-offs' jitter; 0: from the kernel */
};

/* ERR_MEMORY, ERR_SYSTEM. Connects as soon as the loop runs. */
enum err_e pool_new(const struct pool_config *config, struct pool **pool);
/* Every owner has called pool_close(). Closes the links; the handlers hear on_disconnect from the end of the stream. Its handles are closed by the loop's
 * next iterations. */
void pool_free(struct pool **pool);

struct pool_client { /* copied */
    size_t endpoint; /* index in conf.endpoints */
    const char *query, *principal, *peer;
};
/* NULL: out of memory, or a text that OPEN cannot carry: not UTF-8, longer than handler_wire.h allows. */
struct pool_conn *pool_open(struct pool *pool, const struct pool_client *client, void *owner);

/* A message, its body as msgpack (copied). ERR_OK: `answered` comes exactly once with `token`, never from within this call (unless
 * pool_close() comes first). ERR_FULL: too much waits for the handler (answer 503 at once); ERR_TOO_LARGE, ERR_MALFORMED: the body,
 * as handler_value() judges it (400); ERR_MEMORY. A message that was never written when its deadline passes is not sent any more. */
enum err_e pool_send(struct pool_conn *conn, const void *body, size_t len, uint64_t token);

/* True from when half of what may wait for the handler waits until less than a quarter does: who sends should be held until
 * `drained`. */
bool pool_is_pressed(const struct pool_conn *conn);

/* The client is gone. What it said still goes to the handler, in order, and then CLOSED; if its OPEN was not sent yet, nothing of it
 * does. The connection must not be used any more. */
void pool_close(struct pool_conn *conn);

/* A reload: the same handlers and endpoints, in another place. */
void pool_set_conf(struct pool *pool, const struct conf *conf);

/* Deadlines, stuck processes, connecting again: a few times a second. */
void pool_tick(struct pool *pool);

struct pool_counts {
    uint64_t connects, links_lost;    /* to handler processes: WELCOMEs, ends after one */
    uint64_t connects_failed;         /* ends before one */
    uint64_t opened, closed, resumed; /* written: OPEN, CLOSED, OPEN with resumed */
    uint64_t
        anew; /* connections that were TAKEN by a process that was left alive: they begin again elsewhere */
    /* messages = replies + failed + timeouts + unavailable + abandoned + those not answered yet; `full` were never taken on */
    uint64_t messages, replies, failed, timeouts, unavailable, abandoned, full;
    uint64_t late; /* replies that nobody waited for any more; their messages are counted above */
    uint64_t sends, publishes, closes; /* from handlers */
    uint64_t sends_lost;               /* to a connection that was gone or had moved, or too large */
    uint64_t publishes_lost;           /* no such endpoint, too large, no room */
    uint64_t throttled; /* times that a link was not read for a while because it said too much unasked */
    uint64_t malformed, killed; /* peers that broke the protocol; processes killed because they were stuck */
    uint64_t links, conns, waiting; /* now: links that are up, connections, events not yet written */
    uint64_t waiting_bytes;
};
const struct pool_counts *pool_counts(const struct pool *pool);
