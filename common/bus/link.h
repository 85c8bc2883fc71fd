/* link.h — a worker's, agent's, store's or tool's end of the bus: one ZeroMQ DEALER that keeps itself introduced to the broker
 * (Hops: C3, D5, R1).
 *
 *             connected            HELLO_OK
 *     DOWN ──────────────▶ HELLO ───────────▶ UP        UP / HELLO ── socket ends, RE_HELLO, or 3 s of silence ──▶
 *       ▲                    │ again each second          DOWN or HELLO again
 *       └────────────────────┘                          REFUSED is final.
 *
 * Only in UP does link_send() take messages, and each carries the broker_gen of that HELLO_OK. Messages are queued on
 * a live connection only (ZMQ_IMMEDIATE), so that nothing meant for a dead broker is ever replayed into a new one;
 * what must not be lost is sent again by its owner from `up`.
 *
 * Loop-agnostic: poll link_fd() for reading, call link_service() then and at link_due_ns(). The descriptor is
 * level-triggered: readable as long as there is something to do. Not from within its own events.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "wire.h"

#define LINK_HEARTBEAT_NS (1 * NS_PER_S)
#define LINK_SILENCE_NS   (3 * NS_PER_S)
#define LINK_RETRY_NS     (1 * NS_PER_S)
#define LINK_STALL_NS     (2 * NS_PER_S) /* not serviced for so long: HELLO again, what waited is dropped */

struct link;

enum link_state_e { LINK_DOWN, LINK_HELLO, LINK_UP, LINK_REFUSED };

struct link_events {
    /* Completes the introduction (slot, machine, profile_hash); version, role and incarnation are set. */
    void (*hello)(void *arg, struct wire_hello *hello);
    void (*up)(void *arg, const struct wire_hello_ok *ok);
    void (*down)(void *arg); /* was UP, is not any more */
    void (*refused)(void *arg, const char *reason);
    /* Any other message; its texts are valid during the call. A COMMAND's source_ns is 0 if it is another clock's than ours. */
    void (*message)(void *arg, const struct wire_message *message);
    void (*broker_heartbeat)(void *arg,
                             const struct wire_heartbeat *heartbeat); /* it came; NULL: not wanted */
    /* Fills reading_age_ms, channels and metrics (the bytes stay valid until the event returns); NULL: the default of an
     * empty heartbeat. */
    void (*heartbeat)(void *arg, struct wire_heartbeat *heartbeat);
};

struct link_config {
    const char *endpoint; /* "ipc:///…/bus/broker.sock" */
    enum wire_role_e role;
    uint64_t incarnation; /* of this process: random, never 0 */
    const struct clock *clock;
    const struct link_events *events;
    void *arg;
    /* What link_send() takes leaves at the next link_flush(), link_service() or link_look(), as one message of ZeroMQ's, whose I/O
     * thread is woken once then; the owner calls one of the last two before it waits for link_fd(). False: each message
     * leaves at once, and each send looks what has come, which is a poll(2). */
    bool gathers;
};

enum err_e link_open(const struct link_config *config, struct link **link);
void link_close(
    struct link **link); /* says GOODBYE if UP or about to be, waits at most 100 ms for it to leave */

int link_fd(const struct link *link); /* level-triggered (an epoll descriptor), for reading */
enum link_state_e link_state(const struct link *link);
uint64_t link_broker_gen(const struct link *link); /* of the last HELLO_OK; 0 before */

bool link_service(struct link *link, unsigned budget); /* true: there is more, call again without waiting */
void link_flush(struct link *link);
/* link_flush(), and: a send may have taken away what makes link_fd() readable; makes it so again. */
void link_look(struct link *link);
uint64_t link_due_ns(const struct link *link); /* monotonic time of the next link_service() */

/* Fills in broker_gen (and a COMMAND's boot) and sends. ERR_CLOSED: not UP. ERR_FULL: high-water mark; dropped. May be called from events. */
enum err_e link_send(struct link *link, struct wire_message *message);

struct link_counts {
    uint64_t hellos, ups, downs, received, sent, full, malformed, other_gen;
};
const struct link_counts *link_counts(const struct link *link);
