#include "worker_metrics.h"

#include "worker.h"

const struct stats_def worker_metric_defs[WORKER_METRIC_COUNT] = {
#define X(NAME, name, KIND, value) {#name, STATS_##KIND},
    WORKER_METRICS(X)
#undef X
#define X(status, text) {"http_" #status, STATS_COUNTER},
        HTTP_STATUSES(X)
#undef X
#define X(NAME, name) {#name, STATS_HISTOGRAM},
            WORKER_HISTOGRAMS(X)
#undef X
};

void worker_metrics_copy(struct worker *w)
{
    static const struct ws_counts no_ws;
    static const struct gate_counts no_gate;
    static const struct http_counts no_http;
    static const struct rest_counts no_rest;
    static const struct access_counts no_access;
    const struct ws_counts *ws = w->ws != NULL ? ws_counts(w->ws) : &no_ws;
    const struct gate_counts *gate = w->gate != NULL ? gate_counts(w->gate) : &no_gate;
    const struct http_counts *http = w->http != NULL ? http_counts(w->http) : &no_http;
    const struct rest_counts *rest = w->rest != NULL ? rest_counts(w->rest) : &no_rest;
    const struct access_counts *access = w->access != NULL ? access_counts(w->access) : &no_access;
    const struct endpoint_host *host = &w->host;
    const struct link_counts *link = link_counts(w->link);
    if (w->segment == NULL)
        return;
#define X(NAME, name, KIND, value) stats_set(&w->stats, WORKER_##NAME, value);
    WORKER_METRICS(X)
#undef X
#define X(status, text) stats_set(&w->stats, WORKER_HTTP_##status, http->answered_##status);
    HTTP_STATUSES(X)
#undef X
}
