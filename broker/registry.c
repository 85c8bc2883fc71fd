/* Hop: D6, D7. What should be shown is computed anew from what is known, every time, instead of being kept in step by each
 * event: there is no transition to forget. */
#include "registry.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "must.h"
#include "registry_next.h"

uint64_t registry_key(const char *id, size_t len)
{
    uint64_t h = hash_bytes(id, len, 0);
    return h != 0 ? h : 1;
}

/* The first configuration follows an empty one. */
enum err_e registry_init(struct registry *registry, const struct conf *conf)
{
    struct registry_next next;
    *registry = (struct registry){0};
    map_init(&registry->by_id);
    enum err_e err = registry_prepare(registry, conf, &next);
    if (err != ERR_OK)
        return err;
    registry_take(registry, &next);
    registry_next_fini(&next);
    return ERR_OK;
}

void registry_fini(struct registry *registry)
{
    for (size_t i = 0; i < registry->count; i++)
        free(registry->machines[i]);
    free(registry->machines);
    free(registry->due_ns);
    map_fini(&registry->by_id);
    *registry = (struct registry){0};
}

struct machine *registry_find(const struct registry *registry, const char *id, size_t len)
{
    struct machine *machine = map_get(&registry->by_id, registry_key(id, len));
    if (machine == NULL || strlen(machine->conf->info.id) != len ||
        memcmp(machine->conf->info.id, id, len) != 0)
        return NULL;
    return machine;
}

size_t registry_index(const struct registry *registry, const struct machine *machine)
{
    MUST(machine->index < registry->count && registry->machines[machine->index] == machine);
    return machine->index;
}

/* --- slots ------------------------------------------------------------------------------------------------------- */

bool registry_keep_slot(struct registry *registry, uint32_t slot, const char *id)
{
    struct machine *machine = registry_find(registry, id, strlen(id));
    if (machine == NULL || machine->slot != REGISTRY_NO_SLOT)
        return false;
    machine->slot = slot;
    return true;
}

static uint32_t free_slot(const bool *taken, const bool *used, uint32_t capacity)
{
    for (uint32_t slot = 0; slot < capacity; slot++)
        if (!taken[slot] && !used[slot])
            return slot;
    for (uint32_t slot = 0; slot < capacity; slot++)
        if (!taken[slot])
            return slot;
    MUST_NOT_REACH();
}

void registry_place(struct registry *registry, uint32_t capacity, const bool *used, bool *taken)
{
    MUST(registry->count <= capacity);
    for (size_t i = 0; i < registry->count; i++)
        if (registry->machines[i]->slot != REGISTRY_NO_SLOT)
            taken[registry->machines[i]->slot] = true;
    for (size_t i = 0; i < registry->count; i++) {
        struct machine *machine = registry->machines[i];
        if (machine->slot != REGISTRY_NO_SLOT)
            continue;
        machine->slot = !taken[i] && !used[i] ? (uint32_t)i : free_slot(taken, used, capacity);
        taken[machine->slot] = true;
    }
}

enum err_e registry_assign_slots(struct registry *registry, uint32_t capacity, const bool *used)
{
    if (registry->count > capacity)
        return ERR_FULL;
    bool *taken = calloc(capacity, sizeof *taken);
    if (taken == NULL)
        return ERR_MEMORY;
    registry_place(registry, capacity, used, taken);
    free(taken);
    return ERR_OK;
}

/* --- what is known ----------------------------------------------------------------------------------------------- */

static uint64_t ago(uint64_t now_ns, uint64_t age_ms)
{
    return age_ms < now_ns / NS_PER_MS ? now_ns - age_ms * NS_PER_MS : 0;
}

void registry_attach(struct machine *machine, struct peer *agent, uint64_t profile_hash, uint64_t now_ns)
{
    machine->agent = agent;
    machine->awaited = false;
    machine->agent_profile = profile_hash;
    machine->profile_agrees = registry_profile_agrees(machine);
    machine->has_report = false;
    machine->report_gen = machine->report_seq = 0;
    machine->fresh_ns = now_ns; /* nothing is known yet: it may be that fresh */
}

void registry_detach(struct machine *machine)
{
    machine->agent = NULL;
    machine->profile_agrees = false;
    machine->has_report = false;
}

void registry_await(struct machine *machine, uint64_t until_ns)
{
    machine->awaited = true;
    machine->hold_until_ns = until_ns;
}

bool registry_report(struct machine *machine, const struct wire_state *state, uint64_t now_ns)
{
    if (machine->report_gen == state->agent_gen && state->state_seq <= machine->report_seq)
        return false;
    machine->report_gen = state->agent_gen;
    machine->report_seq = state->state_seq;
    machine->has_report = true;
    machine->reported = (struct machine_state){.connection = (enum connection_e)state->connection,
                                               .has_reading = state->has_reading,
                                               .raw_status = (uint8_t)state->raw_status,
                                               .position = (uint8_t)state->position,
                                               .read_wall_ms = state->read_wall_ms};
    if (state->has_reading)
        machine->fresh_ns = ago(now_ns, state->reading_age_ms);
    return true;
}

void registry_heartbeat(struct machine *machine, int64_t reading_age_ms, uint64_t now_ns)
{
    if (reading_age_ms < 0)
        return;
    uint64_t read_ns = ago(now_ns, (uint64_t)reading_age_ms);
    if (read_ns > machine->fresh_ns || machine->has_report)
        machine->fresh_ns = read_ns;
}

/* --- what is shown ----------------------------------------------------------------------------------------------- */

static void take_report(struct machine_state *state, const struct machine_state *reported)
{
    enum connection_e connection = reported->connection;
    if (reported->has_reading)
        *state = *reported;
    state->connection = connection;
}

struct machine_state registry_target(const struct machine *machine, uint64_t now_ns)
{
    struct machine_state state = machine->shown;
    if (machine->agent == NULL) {
        if (!registry_awaits(machine, now_ns))
            state.connection = CONNECTION_DISCONNECTED;
        return state;
    }
    if (machine->has_report)
        take_report(&state, &machine->reported);
    if (state.connection == CONNECTION_CONNECTED && now_ns - machine->fresh_ns > machine->stale_ns)
        state.connection = CONNECTION_STALE;
    return state;
}

void registry_plan(struct registry *registry, struct machine *machine)
{
    uint64_t *due = &registry->due_ns[registry_index(registry, machine)];
    *due = UINT64_MAX;
    if (machine->agent == NULL) {
        if (machine->awaited && machine->shown.connection != CONNECTION_DISCONNECTED)
            *due = machine->hold_until_ns;
    } else if (machine->shown.connection == CONNECTION_CONNECTED) {
        *due = machine->fresh_ns + machine->stale_ns + 1;
    }
}

void registry_hold(struct registry *registry, uint64_t until_ns)
{
    for (size_t i = 0; i < registry->count; i++) {
        registry->machines[i]->hold_until_ns = until_ns;
        registry_plan(registry, registry->machines[i]);
    }
}
