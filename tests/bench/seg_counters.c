/* seg_counters.c — see seg_counters.h. Maps the segment anew for each look: looks are rare, and a process that was
 * restarted has a new segment under the old name. */
#include "seg_counters.h"

#include <stdio.h>
#include <string.h>

#include "segment.h"

struct found {
    struct segment_view *segment;
    struct stats_view view;
    size_t metric;
    uint64_t value;
};

static bool find(const char *runtime_dir, const char *segment, const char *name, struct found *found)
{
    char path[256], metric_name[STATS_NAME_MAX + 1];
    enum stats_kind_e kind;
    snprintf(path, sizeof path, "%s/shm/%s", runtime_dir, segment);
    if (segment_view_open(path, &found->segment) != ERR_OK)
        return false;
    if (segment_view_stats(found->segment, &found->view) == ERR_OK)
        for (found->metric = 0;
             stats_view_metric(&found->view, found->metric, metric_name, &kind, &found->value);
             found->metric++)
            if (strcmp(metric_name, name) == 0)
                return true;
    segment_view_close(&found->segment);
    return false;
}

bool seg_counter(const char *runtime_dir, const char *segment, const char *name, uint64_t *value)
{
    struct found found;
    *value = 0;
    if (!find(runtime_dir, segment, name, &found))
        return false;
    *value = found.value;
    segment_view_close(&found.segment);
    return true;
}

bool seg_quantile(const char *runtime_dir, const char *segment, const char *name, double q, uint64_t *ns,
                  uint64_t *count)
{
    struct found found;
    *ns = *count = 0;
    if (!find(runtime_dir, segment, name, &found))
        return false;
    *ns = stats_view_quantile_ns(&found.view, found.metric, q);
    *count = found.value;
    segment_view_close(&found.segment);
    return true;
}
