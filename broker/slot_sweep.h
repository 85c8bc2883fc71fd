/* slot_sweep.h — a worker that is killed leaves shm/worker.N behind; nobody but the broker knows that slot N is free (Hop: D7).
 *
 * What stands there is taken away once the slot has no holder, some slots per tick, and all of them when the broker stops.
 * Not before BROKER_HOLD_NS after its start: until then workers of the broker before it may not have come back. One that stood
 * still for longer finds its file gone when it is given its slot again, and makes it anew (segment.h).
 */
#pragma once

#include "broker.h"

#define SLOT_SWEEP_PER_TICK 8u

void slot_sweep_tick(struct broker *broker, uint64_t now_ns);
void slot_sweep_all(struct broker *broker);
