/* store.h — the process noria-store: one context, and its parts on one loop.
 *
 *     broker ─ STORE_REQUEST ─▶ store_uplink ─▶ store_group ─▶ db ─▶ STORE_REPLY
 *                                    │                          └─ events ─▶ store_outbox ─ EVENT ─▶ broker ─▶ ring
 *     ring ─ alarms, the broker's events ─▶ store_watch ─▶ db ◀─ store_upkeep
 *
 * Everything that writes waits until a broker has answered SOURCE once (store_outbox.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "db.h"
#include "link.h"
#include "loop.h"
#include "segment.h"
#include "stats.h"
#include "store_group.h"
#include "store_outbox.h"
#include "store_upkeep.h"
#include "store_watch.h"

/* Bytes of replies sent since the broker was last heard of: beyond that it may stand still, and nothing more is executed until it is
 * heard again (its heartbeat comes every second), so that what waits in the socket is bounded. */
#define STORE_UNHEARD_MAX (64u * 1024u * 1024u)

struct store {
    const struct conf *conf;
    const struct clock *clock;
    uint64_t incarnation;
    char segment_path[CONF_PATH_MAX], ring_path[CONF_PATH_MAX], lvt_path[CONF_PATH_MAX];
    char endpoint[CONF_PATH_MAX + 8];

    struct db *db;
    struct segment *segment;
    struct stats stats;
    struct store_group group;
    struct store_outbox outbox;
    struct store_watch watch;
    struct store_upkeep upkeep;

    struct loop *loop;
    struct link *link;
    struct loop_fd *link_watch;
    struct loop_timer *round, *look;
    unsigned joined;               /* acknowledgements in the group that is being committed */
    uint64_t unheard_bytes, heard; /* `heard`: link_counts' received when that was 0 */
    int exit_code;
};

/* Shows counters under shm/store; again if the file was taken away. */
enum err_e store_show(struct store *store);

/* Link, timers. ERR_SYSTEM, ERR_MEMORY (logged). */
enum err_e store_uplink_open(struct store *store);
/* Executes what waits, at most a second long, notes what was acknowledged, and says GOODBYE. */
void store_uplink_close(struct store *store);
