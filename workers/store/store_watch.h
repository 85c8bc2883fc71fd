/* store_watch.h — the ring, read by the store: alarms and losses of machines become anomalies, events of the broker's own become rows.
 *
 *     cursor ─▶ records ─┬─ states: conditions that began or ended ─▶ db_machine()      ┐ one transaction per step that finds something,
 *                        └─ channel events of source 0            ─▶ db_note_foreign()  ┘ with the new cursor
 *
 * The cursor stands in the database and moves in the transaction of what was found before it, so that each finding is made exactly once, whoever
 * is killed when. Between the cursor in the database and the place that was read up to lies nothing but records without a finding: those are
 * read again after a kill, and find nothing again.
 *
 * What is not known from the ring (another ring, lapped, damaged records) is compared with the last-value table: what began or ended meanwhile is
 * noticed, what came and went in between is not. Of another ring, the records that it still has are read first, for the broker's events in them;
 * their states are older than the table. A slot whose record lies ahead of the reader is left to that record.
 *
 * A look every WATCH_PERIOD_NS, of WATCH_BUDGET records at most; no bell: what becomes an anomaly is nobody's next millisecond.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "db.h"
#include "log.h"
#include "map.h"
#include "ring_reader.h"
#include "stats.h"
#include "store_fold.h"

#define WATCH_PERIOD_NS (100 * NS_PER_MS)
#define WATCH_BUDGET    8192u
/* A cursor that found nothing for so long is written anyway: else a restart would find itself lapped. */
#define WATCH_CURSOR_NS (30 * NS_PER_S)

struct store_watch {
    const struct conf *conf;
    struct db *db;
    struct stats *stats;
    const struct clock *clock;
    const char *ring_path, *lvt_path;

    struct ring_reader *ring;
    uint32_t expected; /* the ring that the broker named; 0: none yet */
    bool compare;      /* states are not folded until the table was looked at */
    bool open;         /* within a transaction */
    uint64_t noted_ns; /* when the cursor was last written */
    uint64_t noted;    /* the position that was written then */
    uint64_t retry_ns; /* nothing before then: a transaction has failed */
    struct map
        known; /* hash of an id → its conditions, as this process last wrote them (struct watch_machine) */
    struct log_limit log_limit;
    char text[STORE_FOREIGN_MAX];
};

/* The first six members are set. */
void store_watch_init(struct store_watch *watch);
void store_watch_fini(struct store_watch *watch);

/* Another configuration is in force; the one before may be freed afterwards. */
void store_watch_conf(struct store_watch *watch, const struct conf *conf);

void store_watch_broker(struct store_watch *watch, uint32_t ring_id); /* after HELLO_OK */

/* One step. True: there is more to read. */
bool store_watch_step(struct store_watch *watch);
