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

static enum err_e add_to_one(struct bridges *bridges, const struct map *by_id,
                             const struct conf_bridge *bridge, const char *id)
{
    const struct machine *machine = map_get(by_id, registry_key(id, strlen(id)));
    MUST(machine != NULL && machine->next_index < bridges->count); /* checked by conf_load() */
    struct bridge_set **set = &bridges->rows[machine->next_index].sets[bridge->from];
    struct bridge_set *more = longer(*set, *set == bridges->all[bridge->from], bridge->stream);
    if (more == NULL)
        return ERR_MEMORY;
    *set = more;
    return ERR_OK;
}

static void share(struct bridges *bridges)
{
    for (size_t i = 0; i < bridges->count; i++)
        memcpy(bridges->rows[i].sets, bridges->all, sizeof bridges->all);
}

enum err_e bridges_make(struct bridges *bridges, const struct conf *conf, const struct map *by_id)
{
    *bridges = (struct bridges){.count = conf->machine_count};
    bridges->rows = calloc(conf->machine_count + 1, sizeof *bridges->rows);
    enum err_e err = bridges->rows != NULL ? ERR_OK : ERR_MEMORY;
    for (size_t i = 0; i < conf->bridge_count && err == ERR_OK; i++)
        if (conf->bridges[i].machine_count == 0)
            err = add_to_all(bridges, &conf->bridges[i]);
    if (bridges->rows != NULL)
        share(bridges);
    for (size_t i = 0; i < conf->bridge_count; i++)
        for (size_t k = 0; k < conf->bridges[i].machine_count && err == ERR_OK; k++)
            err = add_to_one(bridges, by_id, &conf->bridges[i], conf->bridges[i].machines[k]);
    if (err != ERR_OK)
        bridges_fini(bridges);
    return err;
}

void bridges_take(struct bridges *bridges, struct bridges *next, struct registry *registry)
{
    struct bridges before = *bridges;
    MUST(next->count == registry->count);
    *bridges = *next;
    bridges->registry = registry;
    *next = before;
    next->registry = NULL;
    for (size_t i = 0; i < registry->count; i++)
        memcpy(registry->machines[i]->bridged, bridges->rows[i].sets, sizeof bridges->rows[i].sets);
}

enum err_e bridges_init(struct bridges *bridges, const struct conf *conf, struct registry *registry)
{
    struct bridges next;
    *bridges = (struct bridges){0};
    enum err_e err = bridges_make(&next, conf, &registry->by_id);
    if (err == ERR_OK)
        bridges_take(bridges, &next, registry);
    return err;
}

static void drop(struct bridges *bridges, struct bridge_row *row)
{
    for (size_t from = 0; from < CONF_BRIDGE_SOURCES; from++)
        if (row->sets[from] != bridges->all[from])
            free(row->sets[from]);
}

void bridges_fini(struct bridges *bridges)
{
    for (size_t i = 0; bridges->registry != NULL && i < bridges->registry->count; i++)
        memset(bridges->registry->machines[i]->bridged, 0, sizeof bridges->registry->machines[i]->bridged);
    for (size_t i = 0; bridges->rows != NULL && i < bridges->count; i++)
        drop(bridges, &bridges->rows[i]);
    for (size_t from = 0; from < CONF_BRIDGE_SOURCES; from++)
        free(bridges->all[from]);
    free(bridges->rows);
    *bridges = (struct bridges){0};
}

const struct bridge_set *bridges_of(const struct bridges *bridges, const char *machine,
                                    enum conf_bridge_from_e from)
{
    const struct machine *known = registry_find(bridges->registry, machine, strlen(machine));
    return known != NULL ? known->bridged[from] : bridges->all[from];
}
