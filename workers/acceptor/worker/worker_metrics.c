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
#define C(NAME, name) {"sensors_" #name, STATS_COUNTER},
                SENSORS_COUNTS(C)
#undef C
#define X(NAME, name) {#name, STATS_HISTOGRAM},
                    WORKER_HISTOGRAMS(X)
#undef X
};

/* The own endpoint of a dialect; NULL: no listener has it. */
static const struct endpoint *own_endpoint(const struct worker *w, const struct endpoint_dialect *dialect)
{
    struct endpoint any = {.host = (struct endpoint_host *)(uintptr_t)&w->host};
    return endpoint_own(&any, dialect);
}

void worker_metrics_copy(struct worker *w)
{
    if (w->segment == NULL)
        return;
    static const struct ws_counts no_ws;
    static const struct gate_counts no_gate;
    static const struct http_counts no_http;
    static const struct rest_counts no_rest;
    static const struct sensors_counts no_sensors;
    static const struct access_counts no_access;
    static const struct login_counts no_login;
    static const struct validated_counts no_endpoints;
    static const struct pool_counts no_pool;
    const struct ws_counts *ws = w->ws != NULL ? ws_counts(w->ws) : &no_ws;
    const struct gate_counts *gate = w->gate != NULL ? gate_counts(w->gate) : &no_gate;
    const struct http_counts *http = w->http != NULL ? http_counts(w->http) : &no_http;
    const struct rest_counts *rest = w->rest != NULL ? rest_counts(w->rest) : &no_rest;
    const struct sensors_counts *sensors = w->sensors != NULL ? sensors_counts(w->sensors) : &no_sensors;
    const struct access_counts *access = w->access != NULL ? access_counts(w->access) : &no_access;
    static const struct channels_counts no_channels;
    const struct endpoint *own_channels = own_endpoint(w, &channels_dialect);
    const struct channels_counts *channels =
        own_channels != NULL ? channels_counts(own_channels) : &no_channels;
    const struct login_counts *login = w->login != NULL ? login_counts(w->login) : &no_login;
    const struct endpoint *own = own_endpoint(w, &validated_dialect);
    const struct validated_counts *endpoints = own != NULL ? validated_counts(own) : &no_endpoints;
    const struct pool_counts *handlers = own != NULL ? validated_pool_counts(own) : NULL;
    const struct pool_counts *pool = handlers != NULL ? handlers : &no_pool;
    static const struct ops_counts no_ops;
    const struct ops_counts *ops = w->ops != NULL ? ops_counts(w->ops) : &no_ops;
    const struct endpoint_host *host = &w->host;
    const struct link_counts *link = link_counts(w->link);
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
#define C(NAME, name) stats_set(&w->stats, WORKER_SENSORS_##NAME, sensors->name);
    SENSORS_COUNTS(C)
#undef C
}
