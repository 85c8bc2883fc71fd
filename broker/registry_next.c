/* See registry_next.h. Rejected: machines in one array per configuration, with the state of those that stay copied over; peers and
 * commands point to them, and whoever forgot one of those pointers would read freed memory. */
#include "registry_next.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "must.h"

static struct machine *machine_new(const char *id)
{
    struct machine *machine = calloc(1, sizeof *machine);
    if (machine == NULL)
        return NULL;
    machine->slot = REGISTRY_NO_SLOT;
    machine->shown.connection = CONNECTION_DISCONNECTED;
    machine->awaited = true;
    machine->hold_until_ns = UINT64_MAX;
    topic_make(&machine->state_topic, TOPIC_STATE, id);
    topic_make(&machine->result_topic, TOPIC_RESULT, id);
    topic_make(&machine->event_topic, TOPIC_EVENT, id);
    list_init(&machine->commands);
    return machine;
}

static enum err_e add_row(const struct registry *registry, const struct conf_machine *conf,
                          struct registry_next *next)
{
    const char *id = conf->info.id;
    uint64_t key = registry_key(id, strlen(id));
    struct machine *known = registry_find(registry, id, strlen(id));
    if (map_get(&next->by_id, key) != NULL)
        return ERR_EXISTS;
    struct machine *machine = known != NULL ? known : machine_new(id);
    if (machine == NULL)
        return ERR_MEMORY;
    next->rows[next->count] =
        (struct registry_row){.machine = machine,
                              .conf = conf,
                              .before = known != NULL ? known->conf : NULL,
                              .profile_hash = conf->profile != NULL ? profile_hash(conf->profile) : 0,
                              .profile_before = machine->profile_hash};
    next->machines[next->count] = machine;
    next->due_ns[next->count] = UINT64_MAX;
    machine->next_index = next->count++;
    return map_put(&next->by_id, key, machine);
}

static void find_gone(const struct registry *registry, struct registry_next *next)
{
    for (size_t i = 0; i < registry->count; i++) {
        struct machine *machine = registry->machines[i];
        const char *id = machine->conf->info.id;
        if (map_get(&next->by_id, registry_key(id, strlen(id))) != machine)
            next->gone[next->gone_count++] = machine;
    }
}

static bool make_room(const struct registry *registry, size_t count, struct registry_next *next)
{
    size_t room = count > 0 ? count : 1;
    next->rows = calloc(room, sizeof *next->rows);
    next->machines = calloc(room, sizeof(struct machine *));
    next->due_ns = calloc(room, sizeof *next->due_ns);
    next->gone = calloc(registry->count + 1, sizeof(struct machine *));
    return next->rows != NULL && next->machines != NULL && next->due_ns != NULL && next->gone != NULL &&
           map_reserve(&next->by_id, count) == ERR_OK;
}

enum err_e registry_prepare(const struct registry *registry, const struct conf *conf,
                            struct registry_next *next)
{
    *next = (struct registry_next){0};
    map_init(&next->by_id);
    enum err_e err = make_room(registry, conf->machine_count, next) ? ERR_OK : ERR_MEMORY;
    for (size_t i = 0; i < conf->machine_count && err == ERR_OK; i++)
        err = add_row(registry, &conf->machines[i], next);
    if (err == ERR_OK)
        find_gone(registry, next);
    else
        registry_next_fini(next);
    return err;
}

/* What the configuration says of it; the rest stays. */
static void follow(const struct registry_row *row)
{
    struct machine *machine = row->machine;
    const struct conf_machine *conf = row->conf;
    uint64_t floor_ms = (uint64_t)conf->poll_interval_ms + REGISTRY_STALE_SLACK_MS;
    uint64_t stale_ms = conf->stale_after_ms > floor_ms ? conf->stale_after_ms : floor_ms;
    machine->conf = conf;
    machine->index = machine->next_index;
    machine->stale_ns = stale_ms * NS_PER_MS;
    machine->profile_hash = row->profile_hash;
    machine->address = wire_address(conf->connect_host, conf->connect_port);
}

void registry_take(struct registry *registry, struct registry_next *next)
{
    struct registry before = *registry;
    MUST(!next->taken);
    for (size_t i = 0; i < next->count; i++)
        follow(&next->rows[i]);
    *registry = (struct registry){next->machines, next->count, next->due_ns, next->by_id};
    next->machines = before.machines;
    next->due_ns = before.due_ns;
    next->by_id = before.by_id;
    next->taken = true;
}

void registry_next_fini(struct registry_next *next)
{
    for (size_t i = 0; !next->taken && i < next->count; i++)
        if (next->rows[i].before == NULL)
            free(next->rows[i].machine);
    for (size_t i = 0; next->taken && i < next->gone_count; i++)
        free(next->gone[i]);
    free(next->rows);
    free(next->machines);
    free(next->due_ns);
    free(next->gone);
    map_fini(&next->by_id);
    *next = (struct registry_next){0};
}
