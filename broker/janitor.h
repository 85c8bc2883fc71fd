/* janitor.h — what happens because time passes: stale machines, silent peers, deadlines, the end of the hold (Hops D7,
 * R2). One tick per 100 ms; a tick that comes a second late means that this process stood still (a stopped container, a
 * suspended host), so it judges nobody for another second, in which the peers' queued messages are read.
 */
#pragma once

#include "broker.h"

#define JANITOR_TICK_NS   (100 * NS_PER_MS)
#define JANITOR_STALL_NS  (1 * NS_PER_S)
#define JANITOR_EXCUSE_NS (1 * NS_PER_S)

/* A loop callback; the caller starts the timer again. The boot sets janitor.tick_ns to when the loop starts. */
void janitor_tick(void *broker);
