/* metric_texts.h — what every metric of every process means, in one sentence, and which of them an operator should be woken by.
 *
 *     M(role, name, KIND, "alarm", "text")
 *
 * role, name, KIND are those of the process's own table (worker_metrics.h, broker_metrics.h, …); alarm is when it is worth one, in a few words
 * ("rises", "above 2000"), or "". From here come # HELP of /metrics, `noria stats --explain` and deploy/METRICS.md; a test compares the list with
 * the tables of all processes, both ways. Sorted by role, then name, for the search.
 *
 * Here and not beside each counter, because a reader (the worker that is scraped, the program noria) knows other processes by their segments
 * only, and no process includes another's headers.
 */
#pragma once

#include <stddef.h>

#include "metric_texts_broker.h"
#include "metric_texts_small.h"
#include "metric_texts_worker.h"
#include "stats.h"

#define METRIC_TEXTS(M)                                                                                      \
    METRIC_TEXTS_AGENT(M)                                                                                    \
    METRIC_TEXTS_BROKER(M)                                                                                   \
    METRIC_TEXTS_LAUNCHER(M)                                                                                 \
    METRIC_TEXTS_PROCESS(M)                                                                                  \
    METRIC_TEXTS_STORE(M)                                                                                    \
    METRIC_TEXTS_WORKER(M)

struct metric_text {
    const char *role, *name;
    enum stats_kind_e kind;
    const char *alarm, *text;
};

/* NULL: none, a metric of another build. */
const struct metric_text *metric_text_find(const char *role, const char *name);
/* The i-th, in order; NULL behind the last. */
const struct metric_text *metric_text_at(size_t i);

/* The name of the family in /metrics: "noria_worker_ws_opened_total" (a counter), "noria_worker_connections" (a gauge),
 * "noria_worker_hop_d8_seconds" (a histogram, "hop_d8_ns"). `role` has at most METRIC_ROLE_MAX bytes. */
#define METRIC_ROLE_MAX 16u
#define METRIC_NAME_MAX 95u
void metric_family_name(char out[METRIC_NAME_MAX + 1], const char *role, const char *name,
                        enum stats_kind_e kind);
