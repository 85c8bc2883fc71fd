/* bridges.h — which streams get what machines say (Hop: D7). See `bridges` in deploy/REFERENCE.md.
 *
 *     states, results, events of a machine ──▶ carousel record, and right behind it one RECORD_STREAM
 *                                              whose topics are all the streams that the configuration names for it
 *
 * The topics are made once, at boot: per record nothing is looked up, and a machine without a bridge costs a NULL. Memory: 152
 * bytes per machine, source and stream that a bridge names with its machines; what goes out for all machines is
 * there once. Made after the registry, and gone before it.
 */
#pragma once

#include "conf.h"
#include "registry.h"

struct bridge_set { /* of one machine and source */
    uint32_t count; /* 1 to CONF_BRIDGE_STREAMS_MAX */
    struct topic streams[];
};

struct bridges {
    struct registry *registry;
    struct bridge_set *all[CONF_BRIDGE_SOURCES]; /* what goes out for every machine; NULL: nothing */
};

/* Sets the machines' `bridged`. ERR_MEMORY. `conf` is one that conf_load() accepted, the registry's. */
enum err_e bridges_init(struct bridges *bridges, const struct conf *conf, struct registry *registry);
void bridges_fini(struct bridges *bridges); /* also of what was never begun: all zero */

/* By id, for machines that may not be configured any more: those get what goes out for all. NULL: no stream. */
const struct bridge_set *bridges_of(const struct bridges *bridges, const char *machine,
                                    enum conf_bridge_from_e from);
