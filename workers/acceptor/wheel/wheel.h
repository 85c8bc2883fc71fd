/* wheel.h — a hashed timing wheel: very many coarse time limits, each started, moved and stopped in O(1).
 *
 *     slots     [0] ── node ── node          due tick 512 and 1024: the second is passed over once
 *               [1]
 *     now ────► [2] ── node                  due tick 2: handed out when the wheel is asked at tick 2 or later
 *               …
 *               [511]
 *
 * Handshake limits, pings and close limits hang here: a worker has tens of thousands of them, nearly all are moved
 * or stopped before they are due, and a tick of precision is enough (G. Varghese and T. Lauck, "Hashed and
 * Hierarchical Timing Wheels", 1987, scheme 6). A node is due at the first tick that is not before its time, so it is
 * never early, and late by at most one tick plus the caller's own delay.
 *
 * Pure: the wheel knows no clock and no loop, `now` is always an argument. One thread. Nodes are part of what they
 * time and never allocated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "list.h"

struct wheel_node {
    struct list_node link;
    uint64_t due_tick;
};

struct wheel {
    struct list_node *slots;
    struct list_node expired; /* taken from its slot, not handed out yet */
    size_t mask;              /* number of slots − 1 */
    uint64_t tick_ns;
    uint64_t next_tick; /* the first one whose slot has not been looked through */
    size_t count;       /* nodes started */
};

/* `slots` is a power of two; choose it so that slots × tick covers the usual limit, then each node is looked at
 * once. ERR_MEMORY. */
enum err_e wheel_init(struct wheel *wheel, uint64_t tick_ns, size_t slots, uint64_t now_ns);
void wheel_fini(struct wheel *wheel); /* nodes still started are forgotten */

void wheel_node_init(struct wheel_node *node);
bool wheel_node_started(const struct wheel_node *node);

/* Starts or moves. A time that has passed already is due at the next wheel_take(). */
void wheel_start(struct wheel *wheel, struct wheel_node *node, uint64_t due_ns);
void wheel_stop(struct wheel *wheel, struct wheel_node *node); /* also one that is not started */

/* The next node that is due at `now`, stopped; NULL when there is none. Between two calls any node may be started,
 * stopped or freed (after stopping it); one started with a due time that has passed is handed out by a later tick's
 * calls only, so a loop over wheel_take() ends. */
struct wheel_node *wheel_take(struct wheel *wheel, uint64_t now_ns);
