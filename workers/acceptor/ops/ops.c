/* Hop: C1. See ops.h: the three routes, who waits for a document, and whose documents give way. */
#include "ops.h"

#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "must.h"
#include "ops_internal.h"

#define JSON     "application/json"
#define TEXT_MAX 512u

static uint64_t now_ns(const struct ops *ops)
{
    return clock_mono_ns(ops->config.clock);
}

static void answer_json(struct http_exchange *x, unsigned status, const struct out *out)
{
    MUST(!out->overflow);
    http_answer(
        x, &(struct http_response){.status = status, .type = JSON, .body = out->at, .body_len = out->len});
}

static void refuse(void *arg, struct http_exchange *x, unsigned status, const char *text)
{
    char memory[TEXT_MAX];
    struct out out = out_init(memory, sizeof memory);
    (void)arg;
    out_literal(&out, "{\"detail\":");
    out_json_string(&out, text, strlen(text));
    out_char(&out, '}');
    answer_json(x, status, &out);
}

/* --- healthy, ready --------------------------------------------------------------------------------------------------- */

static void get_healthz(void *arg, struct http_exchange *x)
{
    char memory[TEXT_MAX];
    struct out out = out_init(memory, sizeof memory);
    (void)arg;
    out_literal(&out, "{\"status\":\"ok\"}");
    answer_json(x, 200, &out);
}

static void get_readyz(void *arg, struct http_exchange *x)
{
    const struct ops *ops = arg;
    const char *reasons[OPS_REASONS_MAX];
    unsigned count = 0;
    char memory[TEXT_MAX];
    struct out out = out_init(memory, sizeof memory);
    if (ops->config.ready(ops->config.arg, reasons, &count)) {
        out_literal(&out, "{\"status\":\"ready\"}");
        answer_json(x, 200, &out);
        return;
    }
    out_literal(&out, "{\"status\":\"not ready\",\"reasons\":[");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            out_char(&out, ',');
        out_json_string(&out, reasons[i], strlen(reasons[i]));
    }
    out_literal(&out, "]}");
    answer_json(x, 503, &out);
}

/* --- documents -------------------------------------------------------------------------------------------------------- */

static void document_free(struct ops *ops, struct document *document)
{
    if (document->held.readers > 0) {
        ops->counts.scrape_readers_dropped += document->held.readers;
        http_drop_readers(ops->config.http, &document->held);
    }
    MUST(document->held.readers == 0);
    free(document->bytes);
    *document = (struct document){0};
    if (ops->newest == document)
        ops->newest = NULL;
}

/* A place for the next one: free, else read by nobody, else the oldest. */
static struct document *document_place(struct ops *ops)
{
    struct document *best = &ops->documents[0];
    for (unsigned i = 0; i < OPS_DOCUMENTS; i++) {
        struct document *document = &ops->documents[i];
        if (document->bytes == NULL)
            return document;
        bool idle = document->held.readers == 0, best_idle = best->held.readers == 0;
        if (idle != best_idle ? idle : document->made_ns < best->made_ns)
            best = document;
    }
    document_free(ops, best);
    return best;
}

static void take_document(struct ops *ops, uint64_t now)
{
    struct scrape *scrape = &ops->scrape;
    struct document *document = document_place(ops);
    *document =
        (struct document){.bytes = scrape->bytes, .len = scrape->out.len, .made_ns = now, .used_ns = now};
    scrape->bytes = NULL;
    ops->counts.scrape_bytes = document->len;
    ops->counts.scrape_us = (now - scrape->began_ns) / NS_PER_US;
    ops->newest = document;
    scrape_end(scrape);
}

static void answer_document(struct ops *ops, struct http_exchange *x)
{
    struct document *document = ops->newest;
    document->used_ns = now_ns(ops);
    ops->counts.scrapes++;
    http_answer(x, &(struct http_response){.status = 200,
                                           .type = EXPOSITION_TYPE,
                                           .body = document->bytes,
                                           .body_len = document->len,
                                           .held = &document->held});
}

static void fail(struct ops *ops, struct http_exchange *x)
{
    ops->counts.scrapes_failed++;
    refuse(NULL, x, 503, "the counters cannot be read now");
}

/* --- those who wait --------------------------------------------------------------------------------------------------- */

static void on_cancel(void *state)
{
    struct waiter *waiter = state;
    list_remove(&waiter->link);
    waiter->ops->waiting--;
    free(waiter);
}

static struct http_exchange *next_waiter(struct ops *ops)
{
    struct waiter *waiter = LIST_ENTRY(ops->waiters.next, struct waiter, link);
    struct http_exchange *x = waiter->exchange;
    on_cancel(waiter);
    return x;
}

static bool wait_for_it(struct ops *ops, struct http_exchange *x)
{
    struct waiter *waiter = ops->waiting < OPS_WAITERS_MAX ? calloc(1, sizeof *waiter) : NULL;
    if (waiter == NULL)
        return false;
    *waiter = (struct waiter){.ops = ops, .exchange = x};
    list_init(&waiter->link);
    list_append(&ops->waiters, &waiter->link);
    ops->waiting++;
    http_wait(x, on_cancel, waiter, OPS_PATIENCE_MS);
    return true;
}

static bool is_fresh(const struct ops *ops)
{
    return ops->newest != NULL && now_ns(ops) - ops->newest->made_ns < OPS_SHARED_NS;
}

static void get_metrics(void *arg, struct http_exchange *x)
{
    struct ops *ops = arg;
    if (!identity_may_all(http_identity(x), GRANT_MACHINES_VIEW)) {
        refuse(NULL, x, 403, "metrics show every machine, and this token does not");
        return;
    }
    bool idle = ops->scrape.phase == SCRAPE_IDLE, fresh = idle && ops->waiting == 0 && is_fresh(ops);
    if (fresh) {
        ops->counts.scrapes_shared++;
        answer_document(ops, x);
        return;
    }
    bool begins = idle && ops->waiting == 0;
    if ((begins && scrape_begin(&ops->scrape, ops->config.shm_dir, now_ns(ops)) != ERR_OK) ||
        !wait_for_it(ops, x)) {
        fail(ops, x);
        return;
    }
    ops->counts.scrapes_shared += !begins;
    ops->config.wake(ops->config.arg);
}

/* --- working ---------------------------------------------------------------------------------------------------------- */

static void give_up(struct ops *ops)
{
    scrape_end(&ops->scrape);
    while (!list_empty(&ops->waiters))
        fail(ops, next_waiter(ops));
}

/* True: there is more. */
static bool work(struct ops *ops, uint64_t now)
{
    if (ops->scrape.phase == SCRAPE_IDLE) {
        if (list_empty(&ops->waiters))
            return false;
        answer_document(ops, next_waiter(ops));
        return !list_empty(&ops->waiters);
    }
    enum err_e err = scrape_step(&ops->scrape, now);
    if (err == ERR_OK)
        take_document(ops, now);
    else if (err != ERR_BUSY)
        give_up(ops);
    return true;
}

bool ops_step(struct ops *ops, uint64_t budget_ns)
{
    uint64_t began = now_ns(ops), now = began, before;
    bool more;
    do {
        before = now;
        more = work(ops, now);
        now = now_ns(ops);
        uint64_t us = (now - before) / NS_PER_US;
        if (us > ops->counts.scrape_step_us)
            ops->counts.scrape_step_us = us;
    } while (more && now - began < budget_ns);
    return more;
}

void ops_tick(struct ops *ops)
{
    uint64_t now = now_ns(ops);
    for (unsigned i = 0; i < OPS_DOCUMENTS; i++) {
        struct document *document = &ops->documents[i];
        if (document->bytes != NULL && document->held.readers == 0 && ops->waiting == 0 &&
            now - document->used_ns >= OPS_UNUSED_NS)
            document_free(ops, document);
    }
}

/* --- making and unmaking ---------------------------------------------------------------------------------------------- */

static const struct http_route routes[OPS_APIS] = {
    {HTTP_GET, "/metrics", NULL, false, get_metrics},
    {HTTP_GET, "/healthz", NULL, true, get_healthz},
    {HTTP_GET, "/readyz", NULL, true, get_readyz},
};

enum err_e ops_new(const struct ops_config *config, struct ops **out)
{
    struct ops *ops = calloc(1, sizeof *ops);
    *out = ops;
    if (ops == NULL)
        return ERR_MEMORY;
    ops->config = *config;
    list_init(&ops->waiters);
    for (unsigned i = 0; i < OPS_APIS; i++)
        ops->apis[i] = (struct http_api){
            .prefix = routes[i].path, .routes = &routes[i], .route_count = 1, .refuse = refuse, .arg = ops};
    return ERR_OK;
}

void ops_free(struct ops **out)
{
    struct ops *ops = *out;
    if (ops == NULL)
        return;
    *out = NULL;
    MUST(list_empty(&ops->waiters));
    scrape_end(&ops->scrape);
    for (unsigned i = 0; i < OPS_DOCUMENTS; i++) {
        MUST(ops->documents[i].held.readers == 0);
        free(ops->documents[i].bytes);
    }
    free(ops);
}

const struct http_api *ops_api(const struct ops *ops, unsigned k)
{
    MUST(k < OPS_APIS);
    return &ops->apis[k];
}

const struct ops_counts *ops_counts(const struct ops *ops)
{
    return &ops->counts;
}
