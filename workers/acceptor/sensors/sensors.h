/* sensors.h — the REST API of sensors, readings, locations, anomalies, predictions, events and channels, `/api/v1` (Hops: C1, C3, R3, R4).
 * README.md is its protocol page.
 *
 *     http ─▶ route ─▶ grant ─▶ path, query, body judged as one (sensors_schema.h) ─▶ store_call ─▶ … ─▶ status, ETag, Location, body ─▶ http_answer
 *                        └ 403            └ 422                                          └ channels_stats for ws/stats
 *
 * The store makes the bodies; nothing of them is read here but the id of what was made. A request whose client goes is forgotten; what was asked
 * goes on. One thread; callbacks of http, of the endpoint host and of the channels' survey.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "errcode.h"
#include "http.h"

struct sensors;

struct sensors_config {
    struct endpoint *endpoint; /* any of the process; outlives the API */
    bool needs_token;          /* also at a listener that asks for none */
};

enum err_e sensors_new(const struct sensors_config *config, struct sensors **sensors); /* ERR_MEMORY */
/* After http_free() or sensors_give_up(): no request waits any more. */
void sensors_free(struct sensors **sensors);

/* For requests from now on. */
void sensors_set_needs_token(struct sensors *sensors, bool needs_token);

const struct http_api *sensors_api(const struct sensors *sensors);

/* The process ends: those that still wait read 503. */
void sensors_give_up(struct sensors *sensors);

/* C(NAME, name): one table for worker_metrics.h, too. */
#define SENSORS_COUNTS(C)                                                                                    \
    C(READS, reads)         /* asked of the store */                                                         \
    C(WRITES, writes)       /* likewise */                                                                   \
    C(STATS, stats)         /* asked of the channels */                                                      \
    C(INVALID, invalid)     /* 422 */                                                                        \
    C(FORBIDDEN, forbidden) /* 403: a grant is missing */                                                    \
    C(STALE, stale)         /* 412 and 304, decided here */                                                  \
    C(REFUSED, refused)     /* 503, 413: not asked, because there was no room */                             \
    C(ORPHANED, orphaned)   /* the client went before its answer */

struct sensors_counts {
#define C(NAME, name) uint64_t name;
    SENSORS_COUNTS(C)
#undef C
};
const struct sensors_counts *sensors_counts(const struct sensors *sensors);
