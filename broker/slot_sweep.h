/* slot_sweep.h — a worker that is killed leaves shm/worker.N behind; nobody but the broker knows that slot N is free (Hop: D7).
 *
 * What stands there is taken away once the slot is leased to nobody and no living process holds the file (slot_file.h), some slots per
 * tick, and all of them when the broker stops. Not before BROKER_HOLD_NS after its start: there is no hurry. A worker that
 * stands still, for however long, keeps its file and with it its slot.
 */
#pragma once

#include "broker.h"

#define SLOT_SWEEP_PER_TICK 8u

void slot_sweep_tick(struct broker *broker, uint64_t now_ns);
void slot_sweep_all(struct broker *broker);
