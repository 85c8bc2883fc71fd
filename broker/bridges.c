/* See bridges.h. Bridges for all machines come first, so that machines without more of their own share one set; whoever has more
 * gets a longer copy. That no machine has a stream twice, and none too many, is common/conf's word. Rejected: topics
 * in struct machine for the most that there may be, which is 7 KiB for a machine without a bridge. */
#include "bridges.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "record.h"

static_assert(CONF_BRIDGE_STREAMS_MAX <= RECORD_TOPICS_MAX,
              "all streams of a machine and source in one record");

/* A copy of `set` with one more stream; `set` is freed if it is nobody else's. */
static struct bridge_set *longer(struct bridge_set *set, bool shared, const char *stream)
{
    uint32_t count = set != NULL ? set->count : 0;
    MUST(count < CONF_BRIDGE_STREAMS_MAX);
    size_t bytes = sizeof *set + (count + 1) * sizeof set->streams[0];
    struct bridge_set *more = realloc(shared ? NULL : set, bytes);
    if (more == NULL)
        return NULL;
    if (shared && count > 0)
        memcpy(more->streams, set->streams, count * sizeof set->streams[0]);
    topic_make_stream(&more->streams[count], stream, strlen(stream));
    more->count = count + 1;
    return more;
}

static enum err_e add_to_all(struct bridges *bridges, const struct conf_bridge *bridge)
{
    struct bridge_set *more = longer(bridges->all[bridge->from], false, bridge->stream);
    if (more == NULL)
        return ERR_MEMORY;
    bridges->all[bridge->from] = more;
    return ERR_OK;
}

static enum err_e add_to_one(struct bridges *bridges, const struct conf_bridge *bridge, const char *id)
{
    struct machine *machine = registry_find(bridges->registry, id, strlen(id));
    MUST(machine != NULL); /* checked by conf_load() */
    struct bridge_set **set = &machine->bridged[bridge->from];
    struct bridge_set *more = longer(*set, *set == bridges->all[bridge->from], bridge->stream);
    if (more == NULL)
        return ERR_MEMORY;
    *set = more;
    return ERR_OK;
}

static void share(struct bridges *bridges)
{
    for (size_t i = 0; i < bridges->registry->count; i++)
        memcpy(bridges->registry->machines[i].bridged, bridges->all, sizeof bridges->all);
}

enum err_e bridges_init(struct bridges *bridges, const struct conf *conf, struct registry *registry)
{
    enum err_e err = ERR_OK;
    *bridges = (struct bridges){.registry = registry};
    for (size_t i = 0; i < conf->bridge_count && err == ERR_OK; i++)
        if (conf->bridges[i].machine_count == 0)
            err = add_to_all(bridges, &conf->bridges[i]);
    share(bridges);
    for (size_t i = 0; i < conf->bridge_count; i++)
        for (size_t k = 0; k < conf->bridges[i].machine_count && err == ERR_OK; k++)
            err = add_to_one(bridges, &conf->bridges[i], conf->bridges[i].machines[k]);
    return err;
}

static void drop(struct bridges *bridges, struct machine *machine)
{
    for (size_t from = 0; from < CONF_BRIDGE_SOURCES; from++) {
        if (machine->bridged[from] != bridges->all[from])
            free(machine->bridged[from]);
        machine->bridged[from] = NULL;
    }
}

void bridges_fini(struct bridges *bridges)
{
    for (size_t i = 0; bridges->registry != NULL && i < bridges->registry->count; i++)
        drop(bridges, &bridges->registry->machines[i]);
    for (size_t from = 0; from < CONF_BRIDGE_SOURCES; from++)
        free(bridges->all[from]);
    *bridges = (struct bridges){0};
}

const struct bridge_set *bridges_of(const struct bridges *bridges, const char *machine,
                                    enum conf_bridge_from_e from)
{
    const struct machine *known = registry_find(bridges->registry, machine, strlen(machine));
    return known != NULL ? known->bridged[from] : bridges->all[from];
}
