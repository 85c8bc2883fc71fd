/* channels_internal.h — the dialect's state, per process and per connection (Hop: C2).
 *
 *     on_connect ─▶ JOINING ── its channel's statistics are sent ──▶ the ring holds what it is owed ─────────────▶ LIVE
 *                    (desk)                                          └─ no ─▶ PAGING: from the store, page by page ─┘
 *                                                                               ▲── the worker lost its place ──────┘
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "channels_dialect.h"
#include "channels_registry.h"
#include "channels_desk.h"
#include "channels_resume.h"
#include "endpoint.h"
#include "list.h"

enum channels_state_e { CHANNELS_CLOSED, CHANNELS_JOINING, CHANNELS_PAGING, CHANNELS_LIVE };

struct channels_conn {
    struct list_node node; /* of the one list of what it waits for */
    struct endpoint_conn *conn;
    struct channels_channel *channel;
    struct channels_user *user;   /* NULL: nameless */
    struct endpoint_since next;   /* what it is owed begins here */
    struct endpoint_since joined; /* what there was when it came */
    uint64_t stuck_ns;            /* since when paging does not go on; 0: it does */
    uint8_t state;                /* enum channels_state_e */
    uint8_t call;                 /* PAGING: the call that it waits for, or CHANNELS_CALLS_MAX */
    bool since_wrong;             /* its `since` is none: it is told behind its statistics */
};

struct channels_shared {
    struct endpoint *endpoint; /* the dialect's own */
    struct channels_registry registry;
    struct channels_desk desk;
    struct channels_resume resume;
    struct channels_counts counts;
};

/* channels_dialect.c: it has its statistics. */
void channels_joined(struct channels_shared *shared, struct channels_conn *state);
/* channels_resume.c */
void channels_tell_gap(struct channels_shared *shared, struct channels_conn *state);

static inline struct channels_shared *channels_shared_of(struct endpoint_conn *conn)
{
    return endpoint_shared(endpoint_of(conn));
}
