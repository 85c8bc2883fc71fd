/* store_limit.h — the yardstick of durable writes: what SQLite itself does with the same transactions, on the same file system.
 *
 *     LIMIT_SQLITE    BEGIN; per row INSERT reading, INSERT event; per event whose turn it is: UPDATE event (its place in the ring); COMMIT
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

/* What a transaction is made of: as in the system's phase before, or it is another transaction. */
struct limit_load {
    uint32_t rows, requests;  /* of a request; of a transaction */
    uint32_t sensors;         /* in turn: each has leaves of its own in two indexes */
    uint32_t noted_per_mille; /* of the rows: events whose place is noted meanwhile; the others wait */
};

struct limit_shared {
    _Atomic uint32_t command; /* enum limit_command_e; the parent writes */
    _Atomic uint32_t doing;   /* what the child has seen */
    struct limit_load load;   /* changed while it pauses */
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
bool store_limit_set(struct store_limit *limit, enum limit_command_e command);
void store_limit_load(struct store_limit *limit, const struct limit_load *load); /* while it pauses */
bool store_limit_stop(struct store_limit *limit); /* true: nothing failed, clean end */
