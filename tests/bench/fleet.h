/* fleet.h — as many generator processes as the clients of a scenario need (gen.h), handled as one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "child.h"
#include "gen.h"

#define FLEET_MAX 8

struct fleet {
    uint32_t count;
    struct child children[FLEET_MAX];
    struct gen_shared *shared[FLEET_MAX];
    struct gen_options options[FLEET_MAX];
};

struct fleet_counts { /* sums over the processes */
    uint64_t live, live_slow;
#define X(name, text) uint64_t name;
    GEN_COUNTERS(X)
#undef X
};

enum fleet_hist_e { FLEET_LATENCY, FLEET_FIRST, FLEET_LAST, FLEET_HANDSHAKE, FLEET_AWAY };

/* Spreads options->clients (and never_read) over processes, and starts them; `first_address` is moved on so that no two
 * processes share a source address. ERR_TOO_LARGE, ERR_MEMORY, ERR_SYSTEM: nothing runs then. */
enum err_e fleet_start(struct fleet *fleet, const struct gen_options *options);
/* ERR_TIMEOUT (logged, with the counters) if not every client is live by then. */
enum err_e fleet_wait_live(struct fleet *fleet, uint32_t timeout_ms);
/* Loses all connections of the first process and has them back at once (GEN_STORM or GEN_RESUME); how long it took in
 * nanoseconds, 0: not within 60 s. */
uint64_t fleet_storm(struct fleet *fleet, enum gen_command_e command);
void fleet_command(struct fleet *fleet, enum gen_command_e command);
struct fleet_counts fleet_counts(const struct fleet *fleet);
void fleet_hist(const struct fleet *fleet, enum fleet_hist_e which, struct hist *hist);
uint64_t fleet_cpu_ns(const struct fleet *fleet);
uint32_t fleet_clients(const struct fleet *fleet);
bool fleet_stop(struct fleet *fleet); /* true if all ended cleanly */

/* after −= before, counter by counter (live ones stay). */
void fleet_counts_subtract(struct fleet_counts *after, const struct fleet_counts *before);
