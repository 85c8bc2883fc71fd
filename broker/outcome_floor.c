/* Hop: R2. A fixed pool in order of use. */
#include "outcome_floor.h"

#include <stdlib.h>

#include "must.h"

enum err_e outcome_floors_init(struct outcome_floors *floors, size_t capacity)
{
    MUST(capacity > 0);
    *floors = (struct outcome_floors){.capacity = capacity};
    list_init(&floors->by_age);
    map_init(&floors->by_gen);
    floors->floors = calloc(capacity, sizeof *floors->floors);
    if (floors->floors != NULL && map_reserve(&floors->by_gen, capacity) == ERR_OK)
        return ERR_OK;
    outcome_floors_fini(floors);
    return ERR_MEMORY;
}

void outcome_floors_fini(struct outcome_floors *floors)
{
    map_fini(&floors->by_gen);
    free(floors->floors);
    floors->floors = NULL;
}

uint64_t outcome_floors_get(const struct outcome_floors *floors, uint64_t agent_gen)
{
    const struct outcome_floor *floor = map_get(&floors->by_gen, agent_gen);
    return floor != NULL ? floor->last_seq : 0;
}

static struct outcome_floor *take_place(struct outcome_floors *floors)
{
    if (floors->used < floors->capacity) {
        struct outcome_floor *floor = &floors->floors[floors->used++];
        list_init(&floor->by_age);
        return floor;
    }
    struct outcome_floor *oldest = LIST_ENTRY(floors->by_age.next, struct outcome_floor, by_age);
    map_remove(&floors->by_gen, oldest->agent_gen);
    return oldest;
}

void outcome_floors_raise(struct outcome_floors *floors, uint64_t agent_gen, uint64_t seq)
{
    struct outcome_floor *floor = map_get(&floors->by_gen, agent_gen);
    if (floor == NULL) {
        floor = take_place(floors);
        floor->agent_gen = agent_gen;
        floor->last_seq = 0;
        enum err_e err = map_put(&floors->by_gen, agent_gen, floor);
        MUST(err == ERR_OK); /* reserved at init */
    }
    if (seq > floor->last_seq)
        floor->last_seq = seq;
    list_remove(&floor->by_age);
    list_append(&floors->by_age, &floor->by_age);
}
