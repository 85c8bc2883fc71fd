/* askers.h — who else asked for a request that is under way: other sessions, or the same one again (Hop: C5, R1).
 *
 * The first asker's command is carried out; the others are told its answers, each under its own key, as `repeat`. Bounded;
 * used by queue.c alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "note.h"

#define ASKERS_MAX 7

struct asker {
    struct command_key key;
    uint64_t dialect;
    struct evidence evidence; /* who, from where, and when */
};

struct askers {
    size_t count;
    struct asker of[ASKERS_MAX];
};

/* False: there are ASKERS_MAX already. */
bool askers_add(struct askers *askers, const struct outcome *asked, const struct evidence *evidence);
bool askers_have(const struct askers *askers, const struct command_key *key);

/* The same answer for another asker. */
struct outcome asker_outcome(const struct outcome *answer, const struct command_key *key, uint64_t dialect);
