/* The names of broker_metrics.h as stats.h wants them. */
#include "broker_metrics.h"

const struct stats_def broker_metric_defs[BROKER_METRIC_COUNT] = {
#define X(NAME, name, KIND) {#name, STATS_##KIND},
    BROKER_METRICS(X)
#undef X
};
