/* channels_resume.h — from the last place that a client has seen to what comes now, without a hole (Hops: C2, R4).
 *
 *     does the ring hold all that follows?  yes ─▶ subscribe, replay: LIVE
 *                  │ no                                    ▲
 *                  ▼                                       │
 *     wait until the socket takes more ─▶ a page of the store's events ─▶ given to the client: its place is that of the last
 *
 * Meanwhile the connection is subscribed to nothing, so that nothing can overtake. One call of the store answers all who wait for the same
 * page, up to CHANNELS_CALL_MEMBERS; CHANNELS_CALLS_MAX calls are under way, so that a worker holds that many pages at most.
 *
 * When does a short page mean that the store has no more? It notes an event's place in the ring a moment after the ring has it. So the ring must
 * hold what came from CHANNELS_SETTLE_NS before the question on; else the question is asked again. What the ring and the store both
 * do not have within CHANNELS_PATIENCE_NS (no store, its rows removed, a place in the future), is a gap, which the client is told; then it gets what there is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "endpoint.h"
#include "list.h"
#include "log.h"

#define CHANNELS_CALLS_MAX    8u
#define CHANNELS_CALL_MEMBERS 64u
#define CHANNELS_PAGE         100u /* events */
#define CHANNELS_GIVEN_MAX                                                                                   \
    (256u * 1024u) /* bytes of a page that are given to one client in one go; its limit is 1 MiB */
#define CHANNELS_SETTLE_NS   (1 * NS_PER_S)
#define CHANNELS_PATIENCE_NS (3 * NS_PER_S)

struct channels_conn;
struct channels_shared;
struct channels_channel;

struct channels_call {
    struct channels_shared *shared;
    uint64_t ticket;          /* 0: free */
    struct list_node members; /* struct channels_conn */
    uint32_t count;
    const struct channels_channel *channel; /* its members are connected to it */
    struct endpoint_since next, settled;
};

struct channels_mark { /* where the ring was read to, and when */
    struct endpoint_since place;
    uint64_t ns;
};

struct channels_resume {
    struct list_node queued, paused; /* for a call; for the socket, or the next tick */
    struct channels_call calls[CHANNELS_CALLS_MAX];
    struct channels_mark older, newer;
    struct log_limit log_limit;
};

void channels_resume_init(struct channels_shared *shared);

/* The connection, which is in no list and has `next`, goes on from there. */
void channels_resume_begin(struct channels_shared *shared, struct channels_conn *state);
/* The worker lost its place: the connection goes on from `since`. */
void channels_resume_lost(struct channels_shared *shared, struct channels_conn *state,
                          struct endpoint_since since);
/* It ends, whatever it waits for. */
void channels_resume_forget(struct channels_shared *shared, struct channels_conn *state);
void channels_resume_tick(struct channels_shared *shared);
