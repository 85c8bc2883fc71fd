/* store_calls.h — what this worker has asked the store and has no answer to yet (Hops: C3, R3): the host's side of store_call.h.
 *
 *     under way ── all parts of the reply ──▶ done(it)
 *         └─────── STORE_LOST, the broker's link down, a reply that makes no sense, the time limit, the end of the process ──▶ done(503)
 *
 * How a call ends, exactly once, never from within store_call():
 *     the link took it and it ends without an answer    503; of a write nobody knows whether it was made, and the text says that
 *     the link did not take it (no broker)              503 at the next tick; certainly not begun
 *     its time limit and STORE_CALL_GRACE_MS passed     503; the store begins nothing that is late, but may have begun before
 *
 * A reply makes sense if it is for a call under way, its parts come in order without a hole, each with the same status and version, none empty
 * but the last, the whole within its bounds, and its status one that a client may read. One that does not is counted (`strange`), logged, and
 * ends its call; one for no call is counted (`late`): the call had ended before. A part that comes alone, which is nearly every
 * answer, is not copied.
 *
 * STORE_LOST ends everything under way, also what the broker may hand to the next store: which of both it will be is not known here. Rejected: to hold
 * requests until a broker is back. They would need copies of their arguments, and a client that reads 503 within a tick can judge for itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "log.h"
#include "map.h"
#include "store_call.h"
#include "wire.h"

#define STORE_CALL_GRACE_MS 1000u /* the answer of what was begun in time */

struct store_pending;

struct store_call_counts {
    uint64_t asked, answered; /* given to the broker; answered by it or by the store */
    uint64_t full;            /* refused: too many under way, or the bus did not take it */
    uint64_t unavailable;     /* no broker: certainly not begun */
    uint64_t lost;            /* the store, or the broker, went away */
    uint64_t timeouts;
    uint64_t strange, late; /* replies */
    uint64_t over_budget;   /* answers larger than there is room for */
    uint64_t forgotten;     /* nobody waited any more */
};

struct store_calls {       /* of one host; zeroed is empty */
    struct list_node open; /* struct store_pending, in the order of their serials */
    struct map by_serial;
    uint64_t last_serial;
    uint32_t count;
    size_t bytes; /* of answers that are being put together */
    bool stopped;
    struct log_limit log_limit;
    struct store_call_counts counts;
};

void store_calls_init(struct store_calls *calls);
/* STORE_REPLY, STORE_LOST; false: the message is another. */
bool store_calls_hear(struct endpoint_host *host, const struct wire_message *message);
void store_calls_broker_down(struct endpoint_host *host);
void store_calls_tick(struct endpoint_host *host);
void store_calls_stop(struct endpoint_host *host); /* the process ends: what is under way is answered 503 */
void store_calls_fini(struct store_calls *calls);  /* nobody is told any more */
