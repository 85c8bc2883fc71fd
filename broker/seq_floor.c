/* Hop: D7, R2. A fixed pool in order of use. */
#include "seq_floor.h"

#include <stdlib.h>

#include "must.h"

enum err_e seq_floors_init(struct seq_floors *floors, size_t capacity)
{
    MUST(capacity > 0);
    *floors = (struct seq_floors){.capacity = capacity};
    list_init(&floors->by_age);
    map_init(&floors->by_gen);
    floors->floors = calloc(capacity, sizeof *floors->floors);
    if (floors->floors != NULL && map_reserve(&floors->by_gen, capacity) == ERR_OK)
        return ERR_OK;
    seq_floors_fini(floors);
    return ERR_MEMORY;
}

void seq_floors_fini(struct seq_floors *floors)
{
    map_fini(&floors->by_gen);
    free(floors->floors);
    floors->floors = NULL;
}

uint64_t seq_floors_get(const struct seq_floors *floors, uint64_t incarnation)
{
    const struct seq_floor *floor = map_get(&floors->by_gen, incarnation);
    return floor != NULL ? floor->last_seq : 0;
}

static struct seq_floor *take_place(struct seq_floors *floors)
{
    if (floors->used < floors->capacity) {
        struct seq_floor *floor = &floors->floors[floors->used++];
        list_init(&floor->by_age);
        return floor;
    }
    struct seq_floor *oldest = LIST_ENTRY(floors->by_age.next, struct seq_floor, by_age);
    map_remove(&floors->by_gen, oldest->incarnation);
    return oldest;
}

void seq_floors_raise(struct seq_floors *floors, uint64_t incarnation, uint64_t seq)
{
    struct seq_floor *floor = map_get(&floors->by_gen, incarnation);
    if (floor == NULL) {
        floor = take_place(floors);
        floor->incarnation = incarnation;
        floor->last_seq = 0;
        enum err_e err = map_put(&floors->by_gen, incarnation, floor);
        MUST(err == ERR_OK); /* reserved at init */
    }
    if (seq > floor->last_seq)
        floor->last_seq = seq;
    list_remove(&floor->by_age);
    list_append(&floors->by_age, &floor->by_age);
}
