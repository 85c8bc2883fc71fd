/* The names of store_metrics.h as stats.h wants them. */
#include "store_metrics.h"

const struct stats_def store_metric_defs[STORE_METRIC_COUNT] = {
#define X(NAME, name, KIND) {#name, STATS_##KIND},
    STORE_METRICS(X)
#undef X
};
