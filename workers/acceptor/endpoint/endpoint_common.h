/* endpoint_common.h — what a dialect has once per process, however many listeners it works at: its shared memory, its
 * beginning, its end and its ticks, how many channels it has, and the survey it is making.
 *
 *     host_join() for each endpoint ─▶ host_start() ─▶ (host_tick())* ─▶ host_stop()
 *
 * A dialect that stands at three listeners is joined three times and started once. Calls that are about the dialect and not
 * about a connection (start, stop, tick, survey_rows) get its own endpoint, which belongs to no listener.
 *
 * Rejected: dialects as static objects with state of their own. Two hosts in one process (every test of surveys) would
 * share it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "endpoint_survey.h"

#define HOST_DIALECTS_MAX 8u

struct endpoint_host;
struct endpoint_common;

struct endpoint {
    struct endpoint_host *host;
    const struct endpoint_dialect *dialect;
    const char *listener;           /* name from the configuration; "" for a dialect's own endpoint */
    struct endpoint_common *common; /* host_join(); NULL: no dialect (REST) */
};

struct endpoint_common {
    struct endpoint endpoint;
    void *shared;           /* shared_bytes; NULL: none */
    bool started, prepared; /* prepared: for a reload */
    uint64_t channels;
    struct survey survey;
};

struct endpoint_commons {
    struct endpoint_common all[HOST_DIALECTS_MAX];
    unsigned count;
    bool stopped;
    uint64_t channels_elsewhere;
};

/* Gives the endpoint (host and dialect are set) what its dialect has in common. Before host_start(). ERR_MEMORY; ERR_FULL: more
 * than HOST_DIALECTS_MAX dialects. */
enum err_e host_join(struct endpoint *endpoint);

/* Starts every joined dialect, before any connection; the first error is logged and returned, and those that had started are
 * stopped. */
enum err_e host_start(struct endpoint_host *host);

/* After the last connection, while the broker's link still stands; calls of the store under way end. Again: nothing. */
void host_stop(struct endpoint_host *host);

/* Of host.c. */
void commons_tick(struct endpoint_commons *commons);
void commons_fini(struct endpoint_commons *commons); /* host_stop() was called, or nothing was started */

/* Stream channels: of all dialects here, for the broker; and what the broker says of all other workers. */
uint64_t host_channels(const struct endpoint_host *host);
void host_set_channels_elsewhere(struct endpoint_host *host, uint64_t channels);
