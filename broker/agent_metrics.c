/* Segments are made and replaced per agent process, so that a reader sees from the incarnation whose numbers they are. */
#include "agent_metrics.h"

#include <dirent.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "must.h"
#include "wire_metrics.h"

static const struct stats_def defs[] = {
#define X(NAME, name, KIND) {#name, STATS_##KIND},
    WIRE_AGENT_METRICS(X)
#undef X
};

static bool wanted(const struct machine *machine)
{
    return machine->agent != NULL && machine->segment_gen != machine->agent->incarnation;
}

/* An agent whose segment cannot be made works unseen; it is not tried again for the same process. */
static void make(struct broker *broker, struct machine *machine)
{
    char relative[32], path[CONF_PATH_MAX], role[SEGMENT_ROLE_MAX + 1];
    segment_close(&machine->segment, false);
    snprintf(relative, sizeof relative, "shm/agent.%u", machine->slot);
    snprintf(role, sizeof role, "agent.%u", machine->slot);
    conf_path(broker->conf, relative, path);
    machine->segment_gen = machine->agent->incarnation;
    enum err_e err = segment_create(path, role, machine->conf->info.id, machine->segment_gen, defs,
                                    ARRAY_LEN(defs), &machine->segment, &machine->metrics);
    if (err != ERR_OK) {
        log_error("agent-segment", "path=%s: %s", path, err_text(err));
        machine->segment = NULL;
    }
}

void agent_metrics_sweep(const char *shm_dir)
{
    DIR *dir = opendir(shm_dir);
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, "agent.", 6) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

void agent_metrics_tick(struct broker *broker)
{
    struct registry *registry = &broker->registry;
    unsigned made = 0;
    if (!broker->segments_wanted)
        return;
    for (size_t i = 0; i < registry->count; i++) {
        if (!wanted(&registry->machines[i]))
            continue;
        if (made++ == AGENT_METRICS_PER_TICK)
            return;
        make(broker, &registry->machines[i]);
    }
    broker->segments_wanted = false;
}

void agent_metrics_take(struct machine *machine, struct wire_text values)
{
    if (machine->segment == NULL || wanted(machine))
        return;
    for (size_t i = 0; i < ARRAY_LEN(defs) && (i + 1) * 8 <= values.len; i++) {
        uint64_t value;
        memcpy(&value, values.at + i * 8, sizeof value);
        stats_set(&machine->metrics, i, le64toh(value));
    }
}
