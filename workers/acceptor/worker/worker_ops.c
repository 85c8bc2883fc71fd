/* What operators ask a worker (ops.h) on its loop: a document of /metrics is made in slices of an idle handle, so that between two of them
 * everything else that waits has its turn, rounds of the fan-out first of all. */
#include "must.h"
#include "worker.h"

#define SLICE_NS (300 * NS_PER_US)

_Static_assert(WORKER_REASONS_MAX <= OPS_REASONS_MAX, "reasons fit");

static bool is_ready(void *arg, const char *reasons[OPS_REASONS_MAX], unsigned *count)
{
    return worker_ready(arg, reasons, count);
}

static void on_slice(uv_idle_t *idle)
{
    const struct worker *w = idle->data;
    if (!ops_step(w->ops, SLICE_NS))
        uv_idle_stop(idle);
}

static void wake(void *arg)
{
    struct worker *w = arg;
    uv_idle_start(&w->scraping, on_slice);
}

enum err_e worker_open_ops(struct worker *w)
{
    conf_path(w->conf, "shm", w->shm_path);
    struct ops_config config = {.clock = w->clock,
                                .shm_dir = w->shm_path,
                                .http = w->http,
                                .ready = is_ready,
                                .wake = wake,
                                .arg = w};
    uv_idle_init(&w->loop, &w->scraping);
    w->scraping.data = w;
    return ops_new(&config, &w->ops);
}

void worker_close_ops(struct worker *w)
{
    if (w->ops != NULL)
        uv_idle_stop(&w->scraping);
    ops_free(&w->ops);
}

void worker_serve_ops(struct worker *w, struct worker_listener *listener)
{
    MUST(listener->api_count + OPS_APIS <= WORKER_APIS_MAX);
    for (unsigned k = 0; k < OPS_APIS; k++)
        listener->apis[listener->api_count++] = ops_api(w->ops, k);
}
