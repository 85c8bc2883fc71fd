/* recent.h — the results of recent commands, so that a command that comes again gets the same answer again and is
 * never written twice (Hop: C5).
 *
 * Bounded by number and age; the oldest goes first. What is forgotten leaves a trace, the horizon: a command that its
 * worker accepted at or before it may have been carried out and forgotten, by this agent or by one before it. (A
 * journal on disk, issue 4, moves the horizon back over restarts; its place is behind this interface.)
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "outcome.h"

struct recent;

struct recent_entry {
    struct outcome result;
    uint64_t seq; /* the number it was last reported under */
    uint64_t arrived_ns, decided_ns;
};

/* The horizon begins at `now_ns`. */
enum err_e recent_new(size_t capacity, uint64_t keep_ns, uint64_t now_ns, struct recent **recent);
void recent_free(struct recent **recent);

/* NULL: unknown. The entry may be changed, and lives until the next recent_put() or recent_find(). */
struct recent_entry *recent_find(struct recent *recent, const struct command_key *key, uint64_t now_ns);
/* The key is not in it yet. */
void recent_put(struct recent *recent, const struct outcome *result, uint64_t seq, uint64_t arrived_ns,
                uint64_t now_ns);

uint64_t recent_horizon_ns(const struct recent *recent);
size_t recent_count(const struct recent *recent);
