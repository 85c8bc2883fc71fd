/* rearm.h — noria rearm: lifts the latch that an emergency stop leaves on a machine (interlock.h).
 *
 *     noria rearm ── HELLO (tool), COMMAND_REARM ──▶ broker ─▶ the machine's agent ─▶ its journal: REARMED, who, from
 *                 ◀───────────── OUTCOME ────────────┘
 *
 * A tool on the bus, not a client of a worker: it works when no listener is up, needs no token, and is allowed to
 * whoever may open bus/broker.sock, which is Noria's own user and group. Nothing is written to a PLC. Asking again does no harm: what is not
 * latched is rearmed already. A broker that is killed meanwhile is waited for, and asked again.
 *
 * The only part of this program that reads the bus; a module of its own, so that the launcher has none of it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define REARM_TIMEOUT_MS   5000u
#define REARM_MACHINES_MAX 4096u

struct rearm_request {
    const char *socket; /* path of bus/broker.sock */
    const char *const *machines;
    size_t machine_count; /* 1 to REARM_MACHINES_MAX */
    uint32_t timeout_ms;  /* for all of them together */
    uid_t uid;            /* who asks; its login name goes to the journal */
    FILE *out, *err;
};

/* A line per machine on `out`, as the answers come:
 *
 *     machine_1: rearmed
 *     machine_2: refused: emergency stop       the stop is still on
 *     machine_3: not known: …                  it may be rearmed, or not: ask again
 *     machine_4: no answer within 5 s
 *
 * and on `err` what stands against all of them ("no broker at …"). Returns the exit code: 0 all rearmed; 1 not all;
 * PROC_EXIT_USAGE: a machine's name cannot be one, or there are too many. */
int rearm(const struct rearm_request *request);
