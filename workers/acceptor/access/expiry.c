/* expiry.c — see expiry.h (Hop: C1). */
#include "expiry.h"

#include <stdlib.h>

#define SLOTS 1024u /* × EXPIRY_TICK_MS is more than EXPIRY_LOOK_MS: each node is looked at once */

struct watched {
    struct wheel_node node;
    uint64_t number, expires_ms;
    void *what;
};

enum err_e expiry_init(struct expiry *expiry, const struct clock *clock,
                       void (*expired)(void *arg, void *what), void *arg)
{
    *expiry = (struct expiry){.clock = clock, .expired = expired, .arg = arg};
    map_init(&expiry->by_number);
    return wheel_init(&expiry->wheel, EXPIRY_TICK_MS * NS_PER_MS, SLOTS, clock_mono_ns(clock));
}

void expiry_fini(struct expiry *expiry)
{
    for (size_t i = 0; i < expiry->by_number.capacity; i++)
        free(expiry->by_number.entries[i].value);
    map_fini(&expiry->by_number);
    wheel_fini(&expiry->wheel);
}

static void look_later(struct expiry *expiry, struct watched *watched, uint64_t wall_ms)
{
    uint64_t left = watched->expires_ms > wall_ms ? watched->expires_ms - wall_ms : 0;
    left = left < EXPIRY_LOOK_MS ? left : EXPIRY_LOOK_MS;
    wheel_start(&expiry->wheel, &watched->node, clock_mono_ns(expiry->clock) + left * NS_PER_MS);
}

enum err_e expiry_watch(struct expiry *expiry, uint64_t number, uint64_t expires_ms, void *what)
{
    struct watched *watched = malloc(sizeof *watched);
    if (watched == NULL)
        return ERR_MEMORY;
    *watched = (struct watched){.number = number, .expires_ms = expires_ms, .what = what};
    wheel_node_init(&watched->node);
    if (map_put(&expiry->by_number, number, watched) != ERR_OK) {
        free(watched);
        return ERR_MEMORY;
    }
    look_later(expiry, watched, clock_wall_ms(expiry->clock));
    return ERR_OK;
}

void expiry_forget(struct expiry *expiry, uint64_t number)
{
    struct watched *watched = expiry->by_number.count > 0 ? map_remove(&expiry->by_number, number) : NULL;
    if (watched == NULL)
        return;
    wheel_stop(&expiry->wheel, &watched->node);
    free(watched);
}

void expiry_sweep(struct expiry *expiry)
{
    uint64_t mono = clock_mono_ns(expiry->clock), wall = clock_wall_ms(expiry->clock);
    struct wheel_node *node;
    for (unsigned told = 0; told < EXPIRY_AT_ONCE && (node = wheel_take(&expiry->wheel, mono)) != NULL;) {
        struct watched *watched = LIST_ENTRY(node, struct watched, node);
        if (watched->expires_ms > wall) {
            look_later(expiry, watched, wall);
            continue;
        }
        void *what = watched->what;
        expiry_forget(expiry, watched->number);
        expiry->expired(expiry->arg, what);
        told++;
    }
}
