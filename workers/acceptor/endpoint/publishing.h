/* publishing.h — messages of this worker's clients on their way to everybody (Hop: C3).
 *
 *     endpoint_publish ─▶ window ─▶ broker … ring ─▶ publishing_seen        it goes, and everything before it
 *              │            └─ not taken, or a new broker ─▶ publishing_send     again, in order
 *              └─ above PUBLISH_SOFT_BYTES: the sender is held ─▶ below half of that: it is read on
 *
 * endpoint_publish_to() goes the same way, without a sender to hold: between the same two marks endpoint_may_publish() says no. That it
 * does so down to the lower mark, too, is what lets held senders have their turn beside a source that fills up to the upper one.
 *
 * Nothing is given to a broker before this worker has attached to its ring: else the record could stand before the place
 * where the worker begins to read, and would never be seen.
 *
 * Who is held stands in a list with room for all; a connection knows its place in it (caller.held). It may be held by its dialect, too
 * (caller.held_by_dialect), and is read when neither holds it. They are let go in
 * portions, because each may bring a whole read (16 KiB) before it can be held again: PUBLISH_RELEASE of them and half of
 * the soft mark stay below the hard bound.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "log.h"
#include "publish_window.h"

#define PUBLISH_RELEASE    128u            /* connections that are let go at once */
#define PUBLISH_BURST      1024u           /* messages sent before anything else is served */
#define PUBLISH_GIVE_UP_NS (30 * NS_PER_S) /* a broker has had it for so long, and it is not in the ring */

struct endpoint_conn;
struct endpoint_host;

struct publish_counts {
    uint64_t published;           /* messages taken, of clients and of endpoint_publish_to() */
    uint64_t resent;              /* given to another broker, too */
    uint64_t full, out_of_memory; /* refused */
    uint64_t unknown;             /* sent, and then records were lost (publishing_lost()) */
    uint64_t given_up;            /* PUBLISH_GIVE_UP_NS passed */
};

struct publishing {
    struct publish_window window;
    bool open;    /* the broker is up, and its ring is read */
    bool pressed; /* above PUBLISH_SOFT_BYTES, and not below half of that since */
    struct endpoint_conn **held;
    uint32_t held_count, held_cap;
    struct log_limit log_limit;
    struct publish_counts counts;
};

void publishing_fini(struct publishing *publishing);

/* Attached to the broker's ring: everything goes to it. */
void publishing_up(struct endpoint_host *host);
void publishing_down(struct endpoint_host *host);
/* Records were lost to this worker, its own numbers perhaps among them: what it has sent is not sent to another broker, which might
 * publish it a second time. Whoever has streams is closed with 1013 at the same moment, and so knows. */
void publishing_lost(struct endpoint_host *host);
/* What is unsent, as much as the bus takes, PUBLISH_BURST at most. */
void publishing_send(struct endpoint_host *host);
/* The number was read in the ring, with this worker as its origin. */
void publishing_seen(struct endpoint_host *host, uint64_t publish_seq);
/* Time limits, and who is held: a few times a second. */
void publishing_tick(struct endpoint_host *host);
/* The connection is gone. */
void publishing_forget(struct endpoint_host *host, struct endpoint_conn *conn);
