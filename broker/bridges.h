/* bridges.h — which streams get what machines say (Hop: D7). See `bridges` in deploy/REFERENCE.md.
 *
 *     states, results, events of a machine ──▶ carousel record, and right behind it one RECORD_STREAM
 *                                              whose topics are all the streams that the configuration names for it
 *
 * The topics are made once per configuration: per record nothing is looked up, and a machine without a bridge costs a NULL. Memory: 152
 * bytes per machine, source and stream that a bridge names with its machines; what goes out for all machines is
 * there once. A reload makes the next ones beside those in force (bridges_make()), takes the machines (registry_next.h), then
 * these (bridges_take()). Gone before the registry.
 */
#pragma once

#include "conf.h"
#include "registry.h"

struct bridge_set { /* of one machine and source */
    uint32_t count; /* 1 to CONF_BRIDGE_STREAMS_MAX */
    struct topic streams[];
};

struct bridge_row { /* of one machine; `all` is shared */
    struct bridge_set *sets[CONF_BRIDGE_SOURCES];
};

struct bridges {
    struct registry *registry; /* whose machines' `bridged` point in here; NULL: none yet */
    struct bridge_row *rows;   /* of the configuration's machines, in its order */
    size_t count;
    struct bridge_set *all[CONF_BRIDGE_SOURCES]; /* what goes out for every machine; NULL: nothing */
};

/* ERR_MEMORY; then nothing is kept. `conf` is one that conf_load() accepted, `by_id` of its machines, whose `next_index` is their
 * place in it. */
enum err_e bridges_make(struct bridges *bridges, const struct conf *conf, const struct map *by_id);
/* In place of `bridges`, which takes `next` over; what was in force hangs in `next` then, for bridges_fini(). Sets the machines' `bridged`. */
void bridges_take(struct bridges *bridges, struct bridges *next, struct registry *registry);
/* Both, for the configuration that the registry has. */
enum err_e bridges_init(struct bridges *bridges, const struct conf *conf, struct registry *registry);
void bridges_fini(struct bridges *bridges); /* also of what was never begun: all zero */

/* By id, for machines that may not be configured any more: those get what goes out for all. NULL: no stream. */
const struct bridge_set *bridges_of(const struct bridges *bridges, const char *machine,
                                    enum conf_bridge_from_e from);
