/* registry_next.h — the machines of another configuration, made beside those in force and then taken over as a whole (part of
 * Hop D7): at the boot, and at each reload.
 *
 *     registry_prepare   a row per machine of the next configuration: the one that is there by that id, or a new one, made
 *                        here. Nothing of the registry changes but `next_index`. All that can fail
 *     registry_take      the rows' machines are the registry's. What was in force hangs in `next` now: arrays, the machines
 *                        that are gone, and per row the configuration that it had `before`
 *     registry_next_fini frees what is not the registry's: before registry_take() the new machines, after it those gone
 *
 * A machine that stays keeps its address, its slot, its agent, its commands and what is known of it; whether it is to be
 * shown as another one is its caller's decision (machine_set.h). No I/O and no clock.
 */
#pragma once

#include "registry.h"

struct registry_row {
    struct machine *machine;
    const struct conf_machine *conf, *before; /* before: NULL: it is new */
    uint64_t profile_hash, profile_before;
};

struct registry_next {
    struct registry_row *rows; /* as `machines` */
    struct machine **machines, **gone;
    size_t count, gone_count;
    uint64_t *due_ns;
    struct map by_id;
    bool taken;
};

/* ERR_MEMORY; ERR_EXISTS: two ids with one hash. Then nothing is kept. `conf` must outlive the machines, or be followed. */
enum err_e registry_prepare(const struct registry *registry, const struct conf *conf,
                            struct registry_next *next);
void registry_take(struct registry *registry, struct registry_next *next);
void registry_next_fini(struct registry_next *next); /* also of what is all zero */
