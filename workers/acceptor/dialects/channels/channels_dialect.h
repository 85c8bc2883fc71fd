/* channels_dialect.h — events of channels over WebSocket: /api/v1/ws and /api/v1/ws/secure (Hop: C2); README.md is the protocol. */
#pragma once

#include <stdint.h>

#include "endpoint.h"

extern const struct endpoint_dialect channels_dialect;

struct channels_counts {
    uint64_t joined, refused; /* refused: closed with 1008 when it came */
    uint64_t stats_told,
        stats_here_only;     /* channel_stats; those that know only this worker, because others were silent */
    uint64_t resumed, paged; /* went live from the ring; needed the store first */
    uint64_t pages, page_events, page_failures;
    uint64_t lapped, gaps; /* connections whose place was lost; gaps that were told */
    uint64_t pings, ignored, binary;
    uint64_t connections, channels, users, paging; /* now */
};

/* Of the dialect's own endpoint (endpoint_own()). */
const struct channels_counts *channels_counts(const struct endpoint *own);
