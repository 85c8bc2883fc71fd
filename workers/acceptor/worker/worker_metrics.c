#include "worker_metrics.h"

#include "worker.h"

const struct stats_def worker_metric_defs[WORKER_METRIC_COUNT] = {
#define X(NAME, name, KIND, value) {#name, STATS_##KIND},
    WORKER_METRICS(X)
#undef X
#define X(NAME, name) {#name, STATS_HISTOGRAM},
        WORKER_HISTOGRAMS(X)
#undef X
};

void worker_metrics_copy(struct worker *w)
{
    static const struct ws_counts no_ws;
    static const struct gate_counts no_gate;
    const struct ws_counts *ws = w->ws != NULL ? ws_counts(w->ws) : &no_ws;
    const struct gate_counts *gate = w->gate != NULL ? gate_counts(w->gate) : &no_gate;
    const struct endpoint_host *host = &w->host;
    const struct link_counts *link = link_counts(w->link);
    if (w->segment == NULL)
        return;
#define X(NAME, name, KIND, value) stats_set(&w->stats, WORKER_##NAME, value);
    WORKER_METRICS(X)
#undef X
}
