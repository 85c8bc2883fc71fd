/* store_upkeep.h — what is too old or too much goes, a bounded number of rows at a time.
 *
 * Every UPKEEP_PERIOD_NS the database is asked for rows beyond `keep`; as long as there are more, steps follow each other: at once where
 * nobody waits for anything, else after a pause that leaves most of the time to requests, but never not at all: a store that is always
 * busy must not grow for ever. Each step is one transaction; every removed row of an entity is an event like any deletion.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "conf.h"
#include "db.h"
#include "stats.h"

#define UPKEEP_FIRST_NS  (5 * NS_PER_S)
#define UPKEEP_PERIOD_NS (60 * NS_PER_S)
#define UPKEEP_ROWS      200u
#define UPKEEP_IDLE_NS   (5 * NS_PER_MS)   /* between steps */
#define UPKEEP_BUSY_NS   (200 * NS_PER_MS) /* … while requests wait, or events are behind */

struct store_upkeep {
    struct db *db;
    struct stats *stats;
    const struct clock *clock;
    struct db_keep keep;
    uint64_t due_ns;
};

void store_upkeep_init(struct store_upkeep *upkeep); /* the first four members are set */

/* Other limits, from now on; what is beyond them goes in the steps that follow. */
void store_upkeep_keep(struct store_upkeep *upkeep, const struct conf_store *keep);

/* What is due; at store_upkeep's due_ns, or whenever. `busy`: somebody waits. */
void store_upkeep_tick(struct store_upkeep *upkeep, bool busy);
