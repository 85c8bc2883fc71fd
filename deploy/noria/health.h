/* health.h — `noria health [ROLE|MACHINE]`: is process 1 of this container what it should be, and does its loop turn?
 *
 * What an engine's health check runs beside the process that it is about, in the same container. It asks nothing of that process, so that a check
 * costs it nothing, and needs neither configuration nor bus:
 *
 *   1. process 1 is the role's program; of a machine, its agent (`-m MACHINE`); where nothing is named, any of them;
 *   2. its main thread went to sleep of its own will at least once within HEALTH_TURN_MS. Every process of Noria's has a heartbeat each second: a
 *      loop that hangs in a call, or spins, does not. front, plc-sim and the launcher, which have none, are woken by a connection to their sockets;
 *   3. broker, store and worker have their segment below shm/ mapped, and that file still has its name.
 *
 * Whether a PLC answers or a broker is there is not the health of an agent: no restart would mend it, and clients see it (`connected`, `stale`).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/un.h>

#include "clock.h"

#define HEALTH_TURN_MS 3000u

struct health_request {
    const char
        *what; /* broker, store, worker, front, plc-sim, launcher, or a machine; NULL: whatever it is */
    const char *process;     /* "/proc/1" */
    const char *runtime_dir; /* of that process */
    const struct clock *clock;
    uint32_t turn_ms; /* HEALTH_TURN_MS */
    FILE *out, *err;
};

/* Says "healthy" on `out`, or on `err` what is wrong, in one line. Returns the exit code: 0, or 1, as an engine wants it. */
int health(const struct health_request *request);

/* Somebody listens at the Unix socket `path`, of that type (SOCK_…). False: errno says why not. Does not block; whoever it is sees a connection that
 * ends at once. */
bool health_accepts(const char *path, int type);
bool health_address(const char *path, struct sockaddr_un *address); /* false: too long for one */
