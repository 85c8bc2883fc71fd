/* watch_machines.h — `noria watch`: what machines do, one line per change, as it is published.
 *
 *     2026-11-23T10:22:33.123Z  lift-1  state      position 5 → 6, RUN "Detenido" → "En movimiento"; age 2 ms
 *     2026-11-23T10:22:34.001Z  lift-1  completed  command 1, argument 7: ok; position 7; took 820 ms; request_id "R1"
 *     2026-11-23T10:22:36.900Z  -       gap        lapped: what was published meanwhile is lost; what differs now follows
 *
 * Reads the ring and the last-value table, read-only and by polling: no process knows that somebody watches, and the broker is never asked. A watcher
 * that is too slow is lapped like any reader; it says so (gap) and goes on with what the table holds. A broker that dies is told, one
 * that comes back likewise, also with a new ring. What is read is not trusted: frames are parsed as JSON within their bounds, and shown printable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "clock.h"
#include "errcode.h"

struct watch_options {
    const char *runtime_dir;
    const char *const *machines; /* ids, which stay the caller's */
    size_t machine_count;        /* 0: all */
    bool json;                   /* a JSON object per line */
    FILE *out;
    const struct clock *clock;
};

struct watch;

/* ERR_NOT_FOUND: nothing runs there; ERR_MEMORY. */
enum err_e watch_new(const struct watch_options *options, struct watch **watch);
void watch_free(struct watch **watch);

/* Writes a line for all that was published since the last call, at most WATCH_TURN_MAX records of it; the first call, for the state that each machine is
 * in. *more: there is more. ERR_SYSTEM: `out` takes no more. */
#define WATCH_TURN_MAX 1000
enum err_e watch_turn(struct watch *watch, bool *more);

/* Turns until SIGINT or SIGTERM, or until nobody reads `out` any more. Returns the program's exit code. */
int watch_run(const struct watch_options *options);
