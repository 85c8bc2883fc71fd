/* fleet.c — see fleet.h. */
#include "fleet.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "must.h"
#include "procfs.h"

#define PER_ADDRESS 5000u
#define STOP_MS     10000
#define STORM_MS    60000

struct generator {
    const struct gen_options *options;
    struct gen_shared *shared;
};

static int generator_body(void *arg)
{
    const struct generator *g = arg;
    return gen_run(g->options, g->shared);
}

static uint32_t share(uint32_t total, uint32_t parts, uint32_t part)
{
    return total / parts + (part < total % parts ? 1 : 0);
}

static enum err_e start_one(struct fleet *fleet, uint32_t part, const struct gen_options *options)
{
    struct gen_options *own = &fleet->options[part];
    *own = *options;
    own->clients = share(options->clients, fleet->count, part);
    own->never_read = share(options->never_read, fleet->count, part);
    own->per_address = options->per_address != 0 ? options->per_address : PER_ADDRESS;
    own->first_address = options->first_address + part * (GEN_CLIENTS_MAX / own->per_address + 1);
    fleet->shared[part] = gen_shared_new();
    if (fleet->shared[part] == NULL)
        return ERR_MEMORY;
    struct generator generator = {own, fleet->shared[part]};
    char name[CHILD_NAME_MAX];
    snprintf(name, sizeof name, "bench-gen.%u", part);
    return child_fork(name, own->core, generator_body, &generator, &fleet->children[part]);
}

enum err_e fleet_start(struct fleet *fleet, const struct gen_options *options)
{
    *fleet = (struct fleet){.count = (options->clients + GEN_CLIENTS_MAX - 1) / GEN_CLIENTS_MAX};
    if (fleet->count > FLEET_MAX) {
        fleet->count = 0;
        return ERR_TOO_LARGE;
    }
    for (uint32_t i = 0; i < fleet->count; i++) {
        enum err_e err = start_one(fleet, i, options);
        if (err != ERR_OK) {
            fleet_stop(fleet);
            return err;
        }
    }
    return ERR_OK;
}

uint32_t fleet_clients(const struct fleet *fleet)
{
    uint32_t clients = 0;
    for (uint32_t i = 0; i < fleet->count; i++)
        clients += fleet->options[i].clients;
    return clients;
}

enum err_e fleet_wait_live(struct fleet *fleet, uint32_t timeout_ms)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + timeout_ms * NS_PER_MS;
    for (;;) {
        struct fleet_counts counts = fleet_counts(fleet);
        if (counts.live + counts.live_slow == fleet_clients(fleet))
            return ERR_OK;
        if (clock_mono_ns(clock_system()) >= deadline) {
            log_error("bench-not-live",
                      "clients=%u live=%" PRIu64 " opened=%" PRIu64 " handshakes=%" PRIu64 " refused=%" PRIu64
                      " failed=%" PRIu64 " closed=%" PRIu64,
                      fleet_clients(fleet), counts.live + counts.live_slow, counts.opened, counts.handshakes,
                      counts.refused, counts.failed, counts.closed);
            return ERR_TIMEOUT;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

void fleet_command(struct fleet *fleet, enum gen_command_e command)
{
    for (uint32_t i = 0; i < fleet->count; i++)
        if (fleet->shared[i] != NULL)
            atomic_store(&fleet->shared[i]->command, command);
}

uint64_t fleet_storm(struct fleet *fleet, enum gen_command_e command)
{
    atomic_store(&fleet->shared[0]->storm_ns, 0);
    fleet_command(fleet, command);
    for (unsigned tries = 0; tries < STORM_MS; tries++) {
        uint64_t ns = atomic_load(&fleet->shared[0]->storm_ns);
        if (ns != 0)
            return ns;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return 0;
}

struct fleet_counts fleet_counts(const struct fleet *fleet)
{
    struct fleet_counts sum = {0};
    for (uint32_t i = 0; i < fleet->count; i++) {
        const struct gen_shared *shared = fleet->shared[i];
        sum.live += atomic_load(&shared->live);
        sum.live_slow += atomic_load(&shared->live_slow);
#define X(name, text) sum.name += atomic_load_explicit(&shared->name, memory_order_relaxed);
        GEN_COUNTERS(X)
#undef X
    }
    return sum;
}

void fleet_counts_subtract(struct fleet_counts *after, const struct fleet_counts *before)
{
#define X(name, text) after->name -= before->name;
    GEN_COUNTERS(X)
#undef X
}

static const struct hist *pick(const struct gen_shared *shared, enum fleet_hist_e which)
{
    switch (which) {
    case FLEET_LATENCY:
        return &shared->latency;
    case FLEET_FIRST:
        return &shared->first;
    case FLEET_LAST:
        return &shared->last;
    case FLEET_HANDSHAKE:
        return &shared->handshake;
    case FLEET_AWAY:
        return &shared->away;
    }
    MUST_NOT_REACH();
}

void fleet_hist(const struct fleet *fleet, enum fleet_hist_e which, struct hist *hist)
{
    memset(hist, 0, sizeof *hist);
    for (uint32_t i = 0; i < fleet->count; i++)
        hist_merge(hist, pick(fleet->shared[i], which));
}

uint64_t fleet_cpu_ns(const struct fleet *fleet)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < fleet->count; i++)
        ns += procfs_cpu_ns(fleet->children[i].pid);
    return ns;
}

bool fleet_stop(struct fleet *fleet)
{
    bool clean = true;
    fleet_command(fleet, GEN_STOP);
    for (uint32_t i = 0; i < fleet->count; i++) {
        if (fleet->children[i].name[0] != '\0')
            clean = child_wait(&fleet->children[i], STOP_MS) && clean;
        gen_shared_free(&fleet->shared[i]);
    }
    fleet->count = 0;
    return clean;
}
