/* store_latency.h — one write after another by a client that also listens: POST sent → event read at a channel client, and → answer read.
 *
 * Writes are sensors and the channel is `sensors`, so that readings which others write meanwhile do not come between. Times begin right
 * before send(2) on a new connection. The event must be of the row that the answer names: "created", the same id.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench_hist.h"

struct store_latency {
    uint64_t done, wrong;
    struct hist event, answer;
    char first_wrong[256];
};

/* Takes `samples` writes, in a process of its own on that core (-1: any). False: it did not end cleanly. */
bool store_latency_measure(uint16_t port, uint32_t samples, int core, struct store_latency *result);
