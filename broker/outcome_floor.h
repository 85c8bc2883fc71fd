/* outcome_floor.h — up to which number each agent incarnation's outcomes are in the ring (part of Hop R2).
 *
 * Agents number outcomes per incarnation and send them again until acknowledged; what is not above the floor was
 * published before and is acknowledged only. An incarnation is a random 64-bit number, unique for the installation, so
 * that it is key enough. At start the floors are rebuilt from the ring. Bounded: the incarnation that was heard of
 * longest ago is forgotten first.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "list.h"
#include "map.h"

struct outcome_floor {
    uint64_t agent_gen, last_seq;
    struct list_node by_age;
};

struct outcome_floors {
    struct outcome_floor *floors;
    size_t capacity, used;
    struct map by_gen;
    struct list_node by_age; /* longest untouched first */
};

enum err_e outcome_floors_init(struct outcome_floors *floors, size_t capacity);
void outcome_floors_fini(struct outcome_floors *floors);

uint64_t outcome_floors_get(const struct outcome_floors *floors, uint64_t agent_gen); /* 0: none known */
void outcome_floors_raise(struct outcome_floors *floors, uint64_t agent_gen,
                          uint64_t seq); /* agent_gen is not 0 */
