/* store_limit.h — the yardstick of durable writes: what SQLite itself does with the same transactions, on the same file system.
 *
 *     LIMIT_SQLITE    BEGIN; per row INSERT reading, INSERT event; per row of the transaction before: UPDATE event (its place in the ring); COMMIT
 *     LIMIT_LIBRARY   the same through workers/store/db: savepoints, JSON, detection, answers
 *
 * Both files are made by that library, so that tables, indexes and settings are the store's (WAL, synchronous=FULL). Whatever the system does beyond
 * LIMIT_SQLITE is the price of HTTP, the bus, the store's loop and its library. A process of its own; counters only grow.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench_hist.h"
#include "child.h"

enum limit_command_e { LIMIT_PAUSE, LIMIT_SQLITE, LIMIT_LIBRARY, LIMIT_STOP };

struct limit_shared {
    _Atomic uint32_t command;        /* enum limit_command_e; the parent writes */
    _Atomic uint32_t doing;          /* what the child has seen */
    _Atomic uint32_t rows, requests; /* of a request; of a transaction: set while it pauses */
    _Atomic uint64_t written, commits;
    struct hist transaction; /* how long one takes, of either kind */
};

struct store_limit {
    struct limit_shared *shared;
    struct child child;
    char dir[160];
};

/* Files in DIR/limit, which is made. Pauses. */
enum err_e store_limit_start(struct store_limit *limit, const char *dir, int core);
/* Returns when the child has seen it; false: it has ended. */
bool store_limit_set(struct store_limit *limit, enum limit_command_e command, uint32_t rows,
                     uint32_t requests);
bool store_limit_stop(struct store_limit *limit); /* true: nothing failed, clean end */
