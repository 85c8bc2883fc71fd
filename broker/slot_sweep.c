/* See slot_sweep.h. */
#include "slot_sweep.h"

#include <unistd.h>

#include "slot_file.h"

static void sweep(struct broker *broker, uint32_t slot)
{
    char path[CONF_PATH_MAX];
    uint64_t holder;
    if (broker->peers.by_slot[slot] != NULL || slot_file_held(broker, slot, &holder))
        return;
    slot_file_path(broker, slot, path);
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
