/* channels_desk.h — who waits for statistics, and the survey that answers them all (Hop: C2).
 *
 *     joining, asking ── a survey begins ──▶ surveyed ── its answer is there ──▶ told, at most CHANNELS_TOLD_AT_ONCE in one go
 *        ▲── whoever comes meanwhile waits for the next one: it must be counted itself
 *
 * A survey asks for one channel if all wait for the same, else for all. Connections get what is known if it fails: this worker's part.
 * Requests get a 503 then. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "channels_answer.h"
#include "list.h"

#define CHANNELS_TOLD_AT_ONCE 1000u /* 5 ms of the worker's time; the rest in the next tick */

struct channels_conn;
struct channels_shared;

struct channels_desk {
    struct list_node joining, surveyed; /* struct channels_conn */
    struct list_node asking, asked;     /* struct channels_asker (requests) */
    uint32_t askers;
    uint64_t last_ticket;
    bool running, telling; /* a survey runs; its answer is being told */
    bool here_only;        /* the answer knows this worker's connections only */
    struct channels_answer answer;
};

void channels_desk_init(struct channels_desk *desk);
void channels_desk_fini(struct channels_desk *desk);

/* The connection waits for its channel_stats; channels_joined() follows them. */
void channels_desk_join(struct channels_shared *shared, struct channels_conn *conn);
void channels_desk_tick(struct channels_shared *shared);
