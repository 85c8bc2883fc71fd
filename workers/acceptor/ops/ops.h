/* ops.h — for those who keep Noria running: /metrics, /healthz, /readyz (Hop: C1).
 *
 *     GET /metrics   the counters of every process that shows itself in shm/, as Prometheus text (exposition.h). Asks for a token where the
 *                    listener does; a token that does not show every machine gets 403, because this does
 *     GET /healthz   200 {"status":"ok"} while the loop turns
 *     GET /readyz    200 {"status":"ready"}, or 503 {"status":"not ready","reasons":["no broker"]}; both ask for no token
 *
 * A document of a thousand machines is ten megabytes. It is made in steps of a few µs within a budget per turn of the loop (ops_step()), from
 * segments that are mapped one at a time; whoever asks while one is made, or within OPS_SHARED_NS after, gets the same. At most
 * OPS_DOCUMENTS exist: where readers still hold all of them, those of the oldest are dropped for the next. So memory and CPU are bounded
 * whatever scrapers do.
 *
 * Chosen: to look at the files anew for each document. Rejected: to keep all segments mapped (a thousand descriptors, or mappings, of every
 * worker's, for 12 µs each every 15 s); one process that gathers (something more to die).
 *
 * One thread. Loop-agnostic: the owner calls ops_step() when it was asked to (wake), until it says that nothing is left.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "http.h"

#define OPS_APIS        3u
#define OPS_DOCUMENTS   3u
#define OPS_WAITERS_MAX 64u
#define OPS_REASONS_MAX 8u
#define OPS_SHARED_NS   (1 * NS_PER_S)
#define OPS_PATIENCE_MS 10000u         /* how long a scrape may take, on a loop that has other work */
#define OPS_UNUSED_NS   (5 * NS_PER_S) /* then a document's memory goes */

struct ops;

struct ops_config {
    const struct clock *clock;
    const char *shm_dir; /* outlives it */
    struct http *http;   /* likewise; http_free() comes first all the same */
    /* True if clients are well served here; else *count static texts that say why not. */
    bool (*ready)(void *arg, const char *reasons[OPS_REASONS_MAX], unsigned *count);
    void (*wake)(void *arg); /* ops_step() has something to do */
    void *arg;
};

struct ops_counts {
    uint64_t scrapes;        /* answered with a document */
    uint64_t scrapes_shared; /* … that another had asked for */
    uint64_t scrapes_failed; /* 503: no memory, no shm/, or too many waited */
    uint64_t scrape_readers_dropped;
    uint64_t scrape_bytes, scrape_us; /* of the last document: size; from its beginning to its end */
    uint64_t scrape_step_us;          /* the longest step so far */
};

enum err_e ops_new(const struct ops_config *config, struct ops **ops); /* ERR_MEMORY */
void ops_free(struct ops **ops); /* nobody waits or reads any more: after http_free() */

/* The k-th of OPS_APIS. Each has a path of its own and leaves all others to whoever comes behind it. */
const struct http_api *ops_api(const struct ops *ops, unsigned k);

/* Works for about `budget_ns`. True: there is more to do. */
bool ops_step(struct ops *ops, uint64_t budget_ns);
void ops_tick(struct ops *ops); /* a few times a second: frees what nobody asked for any more */

const struct ops_counts *ops_counts(const struct ops *ops);
