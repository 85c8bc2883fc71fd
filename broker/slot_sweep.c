/* See slot_sweep.h. */
#include "slot_sweep.h"

#include <stdio.h>
#include <unistd.h>

static void sweep(struct broker *broker, uint32_t slot)
{
    char name[32], path[CONF_PATH_MAX];
    if (broker->peers.by_slot[slot] != NULL)
        return;
    snprintf(name, sizeof name, "shm/worker.%u", slot);
    conf_path(broker->conf, name, path);
    if (unlink(path) == 0)
        broker_count(broker, BROKER_SLOTS_SWEPT);
}

void slot_sweep_tick(struct broker *broker, uint64_t now_ns)
{
    if (now_ns < broker->hold_until_ns)
        return;
    for (unsigned i = 0; i < SLOT_SWEEP_PER_TICK; i++)
        sweep(broker, broker->sweep_slot++ % PEERS_WORKERS);
}

void slot_sweep_all(struct broker *broker)
{
    for (uint32_t slot = 0; slot < PEERS_WORKERS; slot++)
        sweep(broker, slot);
}
