#include "worker_metrics.h"

#include "pool.h"
#include "worker.h"

const struct stats_def worker_metric_defs[WORKER_METRIC_COUNT] = {
#define X(NAME, name, KIND, value) {#name, STATS_##KIND},
    WORKER_METRICS(X)
#undef X
#define X(status, text) {"http_" #status, STATS_COUNTER},
        HTTP_STATUSES(X)
#undef X
#define X(NAME, name, text) {"handler_fault_" #name, STATS_COUNTER},
            VALIDATED_FAULTS(X)
#undef X
#define X(NAME, name) {#name, STATS_HISTOGRAM},
                WORKER_HISTOGRAMS(X)
#undef X
};

/* The own endpoint of the dialect of validated endpoints; NULL: no listener has it. */
static const struct endpoint *endpoints_of(const struct worker *w)
{
    for (unsigned i = 0; i < w->host.commons.count; i++) {
        const struct endpoint_common *common = &w->host.commons.all[i];
        if (common->endpoint.dialect == &validated_dialect && common->started)
            return &common->endpoint;
    }
    return NULL;
}

void worker_metrics_copy(struct worker *w)
{
    static const struct ws_counts no_ws;
    static const struct gate_counts no_gate;
    static const struct http_counts no_http;
    static const struct rest_counts no_rest;
    static const struct access_counts no_access;
    static const struct validated_counts no_endpoints;
    static const struct pool_counts no_pool;
    const struct ws_counts *ws = w->ws != NULL ? ws_counts(w->ws) : &no_ws;
    const struct gate_counts *gate = w->gate != NULL ? gate_counts(w->gate) : &no_gate;
    const struct http_counts *http = w->http != NULL ? http_counts(w->http) : &no_http;
    const struct rest_counts *rest = w->rest != NULL ? rest_counts(w->rest) : &no_rest;
    const struct access_counts *access = w->access != NULL ? access_counts(w->access) : &no_access;
    const struct endpoint *own = endpoints_of(w);
    const struct validated_counts *endpoints = own != NULL ? validated_counts(own) : &no_endpoints;
    const struct pool_counts *handlers = own != NULL ? validated_pool_counts(own) : NULL;
    const struct pool_counts *pool = handlers != NULL ? handlers : &no_pool;
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
#define X(NAME, name, text)                                                                                  \
    stats_set(&w->stats, WORKER_FAULT_##NAME, endpoints->faults[VALIDATED_FAULT_##NAME]);
    VALIDATED_FAULTS(X)
#undef X
}
