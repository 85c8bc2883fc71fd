/* seq_floor.h — up to which number each process's outcomes, or stream messages, are in the ring (part of Hops D7, R2).
 *
 * Agents number outcomes, workers stream messages, per incarnation, and send them again until they know that they are public; what
 * is not above the floor was published before. An incarnation is a random 64-bit number, unique for the installation, so
 * that it is key enough. At start the floors are rebuilt from the ring. Bounded: the incarnation that was heard of
 * longest ago is forgotten first.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "list.h"
#include "map.h"

struct seq_floor {
    uint64_t incarnation, last_seq;
    struct list_node by_age;
};

struct seq_floors {
    struct seq_floor *floors;
    size_t capacity, used;
    struct map by_gen;
    struct list_node by_age; /* longest untouched first */
};

enum err_e seq_floors_init(struct seq_floors *floors, size_t capacity);
void seq_floors_fini(struct seq_floors *floors);

uint64_t seq_floors_get(const struct seq_floors *floors, uint64_t incarnation); /* 0: none known */
void seq_floors_raise(struct seq_floors *floors, uint64_t incarnation,
                      uint64_t seq); /* incarnation is not 0 */
