/* front_hold.h — `noria front`: holds the network namespace that the workers of a Compose installation share.
 *
 *     container front ── network namespace: published ports, @noria-front (common/proc/front.h)
 *        ├─ container worker_1   listens there, too, and stays connected to @noria-front
 *        └─ container worker_2   …
 *
 * An engine gives a namespace to a container, and takes it away with it; workers come, go and are scaled, and the ports must stay. So it
 * belongs to a program that does nothing: it accepts, reads nothing, and ends on SIGTERM or SIGINT. Rejected: a worker as the holder (its death would
 * take all the others' network), and a `sleep` (a worker could not see that the network it lives in is nobody's any more).
 */
#pragma once

#include "errcode.h"

#define FRONT_WORKERS_MAX 1024

/* Until a signal ends it: ERR_OK. `beacon`: the path of FRONT_BEACON, which is taken over from an earlier front; where it cannot be had, that is logged, and
 * all else goes on. ERR_BUSY: this network namespace has one already; ERR_SYSTEM, ERR_MEMORY. All of them logged. */
enum err_e front_hold(const char *beacon);
