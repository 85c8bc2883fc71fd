/* Segments are made and replaced per agent process, so that a reader sees from the incarnation whose numbers they are. */
#include "agent_metrics.h"

#include <dirent.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "must.h"
#include "wire_histograms.h"
#include "wire_metrics.h"

enum agent_metric_e {
#define X(NAME, name, KIND) VALUE_##NAME,
    WIRE_AGENT_METRICS(X) VALUES, /* and behind them the histograms: */
    BEFORE_HISTOGRAMS = VALUES - 1,
#undef X
#define X(NAME, name) METRIC_##NAME,
    WIRE_AGENT_HISTOGRAMS(X) METRICS
#undef X
};

static const struct stats_def defs[METRICS] = {
#define X(NAME, name, KIND) {#name, STATS_##KIND},
    WIRE_AGENT_METRICS(X)
#undef X
#define X(NAME, name) {#name, STATS_HISTOGRAM},
        WIRE_AGENT_HISTOGRAMS(X)
#undef X
};
_Static_assert(STATS_BUCKETS == WIRE_HISTOGRAM_BUCKETS, "the same buckets on both sides");

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
        log_error("agent-segment", "path=%s error=\"%s\"", path, err_text(err));
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
        if (!wanted(registry->machines[i]))
            continue;
        if (made++ == AGENT_METRICS_PER_TICK)
            return;
        make(broker, registry->machines[i]);
    }
    broker->segments_wanted = false;
}

static bool take_entry(struct stats *stats, const struct wire_histogram_entry *entry)
{
    if (entry->histogram >= METRICS - VALUES)
        return false;
    size_t metric = VALUES + entry->histogram;
    if (entry->bucket == WIRE_HISTOGRAM_SUM)
        stats_set_sum_ns(stats, metric, entry->value * NS_PER_US);
    else if (entry->bucket < WIRE_HISTOGRAM_BUCKETS)
        stats_set_bucket(stats, metric, entry->bucket, entry->value);
    else
        return false;
    return true;
}

bool agent_metrics_take(struct machine *machine, const struct wire_heartbeat *heartbeat)
{
    struct wire_text values = heartbeat->metrics, rest = heartbeat->histograms;
    struct wire_histogram_entry entry;
    bool sane = true;
    if (machine->segment == NULL || wanted(machine))
        return true;
    for (size_t i = 0; i < VALUES && (i + 1) * 8 <= values.len; i++) {
        uint64_t value;
        memcpy(&value, values.at + i * 8, sizeof value);
        stats_set(&machine->metrics, i, le64toh(value));
    }
    while (wire_histogram_next(&rest, &entry))
        sane &= take_entry(&machine->metrics, &entry);
    return sane && rest.len == 0;
}
