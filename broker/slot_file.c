/* See slot_file.h. Rejected: pids in shared memory (reused, and another namespace's in a container); a heartbeat there (what stands still
 * has none, and lives). */
#include "slot_file.h"

#include <stdio.h>

_Static_assert(PEERS_WORKERS <= 64, "a bit for each");

void slot_file_path(const struct broker *broker, uint32_t slot, char path[CONF_PATH_MAX])
{
    char name[32];
    snprintf(name, sizeof name, "shm/worker.%u", slot);
    conf_path(broker->conf, name, path);
}

bool slot_file_held(const struct broker *broker, uint32_t slot, uint64_t *incarnation)
{
    char path[CONF_PATH_MAX];
    slot_file_path(broker, slot, path);
    return segment_is_held(path, incarnation);
}

uint64_t slot_files_of_others(const struct broker *broker, uint64_t incarnation)
{
    uint64_t others = 0, holder;
    for (uint32_t slot = 0; slot < PEERS_WORKERS; slot++)
        if (slot_file_held(broker, slot, &holder) && (holder == 0 || holder != incarnation))
            others |= 1ULL << slot;
    return others;
}

bool slot_files_introduced(const struct broker *broker)
{
    uint64_t holder;
    for (uint32_t slot = 0; slot < PEERS_WORKERS; slot++)
        if (slot_file_held(broker, slot, &holder) &&
            (holder == 0 || peers_worker(&broker->peers, holder) == NULL))
            return false;
    return true;
}
