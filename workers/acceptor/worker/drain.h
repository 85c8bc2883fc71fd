/* drain.h — clients told to go one by one, evenly over a window of time: so that a worker that ends does not send all of them to the others in one
 * breath (Hop: C1).
 *
 *     told    n ┤                                   ┌──── at its end everybody, whatever is under way
 *               │                          ┌────────┘
 *               │                 ┌────────┘            one after window/n, in the order of the table of connections (about that of
 *               │        ┌────────┘                     their age); who is owed something, or whose socket is full, later
 *             1 ┼────────┘
 *               └──────────────────────────────────▶ window
 *
 * Whoever goes by itself, or comes meanwhile, moves the plan and not the window. A client is asked each time that its turn comes whether
 * it is through (`fit`), so that no list of the waiting is kept. Rejected: a time drawn for each client (clusters where few are there, a word
 * per connection); portions each 100 ms (with 10,000 clients 4 ms of standstill each).
 *
 * Knows clients by the functions below and time by its clock, so that a test drives both. No allocation. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

struct drain_ops {
    size_t (*open)(void *arg);     /* clients that were not told to go and have not gone */
    uint64_t (*opened)(void *arg); /* all that ever came: a counter */
    /* The next of them from *cursor on (0 at first), which moves behind it; NULL at the end. */
    void *(*next)(void *arg, size_t *cursor);
    /* Gives it what it is owed. True: it may go now; false: something is under way for it. */
    bool (*fit)(void *arg, void *client);
    /* It goes, and is not met again. */
    void (*go)(void *arg, void *client);
};

struct drain {
    const struct drain_ops *ops;
    void *arg;
    const struct clock *clock;
    uint64_t start_ns, window_ns, opened;
    size_t first; /* clients at the beginning */
    size_t cursor;
    uint64_t told, told_late; /* the second: of the first, at the window's end with something under way */
};

void drain_begin(struct drain *drain, const struct drain_ops *ops, void *arg, const struct clock *clock,
                 uint32_t window_ms);

/* Call often; takes about `budget_ns`. True: the window is over, and everybody was told. */
bool drain_turn(struct drain *drain, uint64_t budget_ns);
bool drain_window_over(const struct drain *drain);
