/* agent_metrics.h — what agents report of themselves with each heartbeat, shown in shm/agent.<slot> (wire_metrics.h).
 *
 * Agents do not see shared memory, so the broker keeps their segments. Making one takes system calls (figure in
 * README.md); when a thousand agents come back at once it must not delay their states, so the janitor makes a few per
 * tick.
 */
#pragma once

#include "broker.h"

#define AGENT_METRICS_PER_TICK 16u

/* Removes the segments that a killed broker left, also half-made ones: agents come back, and those that do not must not
 * be shown. Call once the ring is this broker's. */
void agent_metrics_sweep(const char *shm_dir);

/* Makes the segments of agents that have none, or one of a process before them; at most AGENT_METRICS_PER_TICK. */
void agent_metrics_tick(struct broker *broker);

/* A heartbeat's values and entries of histograms (wire_histograms.h); dropped while there is no segment. False: there was an entry that is
 * none; the others are taken. */
bool agent_metrics_take(struct machine *machine, const struct wire_heartbeat *heartbeat);
