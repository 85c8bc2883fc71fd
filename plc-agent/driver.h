/* driver.h — the contract of a driver: one PLC, one request at a time (Hop: D1, D2, C6).
 *
 *     poller/queue ── exchange(request) ──▶ driver ── bytes ──▶ PLC
 *                  ◀── done(answer) ───────        ◀── bytes ──
 *
 * A driver turns one request into bytes, sends them, and turns what comes back into one answer. It decides nothing:
 * when to poll, what a failure means and whether to try again are its user's. Above all it never sends a request
 * twice by itself, and it says in every answer what the PLC may have seen of it:
 *
 *     NOT_SENT      no byte left this process: trying again is safe
 *     PARTLY_SENT   some bytes did, SENT all of them: the PLC may have acted, whatever the result says
 *
 * Rules for every driver
 * - No operation blocks; each says so again below. Time is the loop's clock, time limits are its timers.
 * - `done` is called exactly once for each exchange() that returned, always from the loop and never from within an
 *   operation. It is the driver's last act in that callback: `done` may start the next exchange or close the driver.
 * - An answer belongs to its own request. Where the protocol has no request ids, an exchange that ends without a
 *   clean reply ends the connection, bytes still unsent are discarded, not delivered later, and bytes that arrive
 *   while nothing was asked end it too.
 * - A value is passed on only if the whole reply arrived, and nothing but the reply.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "errcode.h"
#include "loop.h"

#define DRIVER_NO_ARGUMENT (-1)

enum driver_result_e {
    DRIVER_REPLY,     /* status and position are set; always SENT */
    DRIVER_TIMEOUT,   /* NOT_SENT: send_by_ns passed. Else: the reply was not complete within its limit */
    DRIVER_REFUSED,   /* no connection: refused, no route, connect limit, no descriptor. Always NOT_SENT */
    DRIVER_CLOSED,    /* the PLC ended the connection before it replied */
    DRIVER_BAD_REPLY, /* too many bytes, too few before the end, or bytes before the request was out */
};

enum driver_sent_e { DRIVER_NOT_SENT, DRIVER_PARTLY_SENT, DRIVER_SENT };

enum driver_state_e {
    DRIVER_STATE_CLOSED, /* no connection, none wanted */
    DRIVER_STATE_OPEN,   /* connected and idle */
    DRIVER_STATE_BUSY,   /* an exchange is in flight */
};

struct driver_request {
    uint8_t command;
    int16_t argument;        /* 0..255 or DRIVER_NO_ARGUMENT */
    uint64_t reply_limit_ns; /* from the last byte written to the last byte read; as long for the writing */
    uint64_t send_by_ns;     /* monotonic: no first byte is written at or after it; UINT64_MAX: no limit */
};

struct driver_answer {
    enum driver_result_e result;
    enum driver_sent_e sent;
    uint8_t status, position; /* with DRIVER_REPLY, else 0 */
    uint64_t readable_ns;     /* monotonic: when the reply became readable, or the failure known */
    uint64_t took_ns;         /* from before the first byte was written until readable_ns; 0: NOT_SENT */
};

struct driver_counts {
    uint64_t connects, connect_failures;
    uint64_t reply_timeouts;
    uint64_t bad_replies; /* bytes nobody asked for, too many, or too few */
};

struct driver; /* a driver's own struct, known to it alone */

typedef void driver_done_f(void *arg, const struct driver_answer *answer);

struct driver_config {
    struct loop *loop;
    const char *host; /* numeric IPv4 or IPv6: resolving a name could block */
    uint16_t port;
    bool persistent; /* one connection for many exchanges; false: one each */
    uint64_t connect_limit_ns;
    driver_done_f *done;
    void *arg;
};

struct driver_ops {
    const char *name;

    /* Does not block, does not connect yet. Copies the configuration; the loop must outlive the driver. On ERR_OK
     * *driver is the caller's until close(). ERR_CONFIG (address; logged), ERR_MEMORY. */
    enum err_e (*open)(const struct driver_config *config, struct driver **driver);

    /* Does not block. An exchange in flight is abandoned without `done`, what is still unsent is discarded. */
    void (*close)(struct driver **driver);

    /* Does not block. Not while BUSY (a defect of the caller). The request is copied. Cannot fail: whatever goes
     * wrong is told by `done`. */
    void (*exchange)(struct driver *driver, const struct driver_request *request);

    /* Do not block; may be called at any time. The counts live as long as the driver. */
    enum driver_state_e (*state)(const struct driver *driver);
    const struct driver_counts *(*counts)(const struct driver *driver);
};
