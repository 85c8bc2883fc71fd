/* front_link.h — a worker's connection to `noria front`, which makes its sockets (the protocol: common/proc/front.h). Without an event loop, on a clock:
 * whoever has one calls. Nothing here blocks.
 *
 *     SEEKING ── connected, asked ──▶ ASKED ── the sockets came ──▶ HELD ── its end: front is gone, and the sockets reach nobody
 *        ▲                              │
 *        └── refused, no good answer, its end, FRONT_PATIENCE_NS ──┘        as often as it takes
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "control.h"

#define FRONT_LINK_WHY_MAX 200

struct front_link {
    const struct clock *clock;
    const char *path; /* of FRONT_SOCKET, the caller's */
    int fd;           /* -1: SEEKING */
    uint64_t asked_ns;
    char why
        [FRONT_LINK_WHY_MAX]; /* there are no sockets yet; said once (front-wait) until it is another reason */
};

void front_link_init(struct front_link *link, const struct clock *clock, const char *path);

/* One step, to be repeated every FRONT_RETRY_MS until it returns true: link->fd is HELD, and `got` has the sockets asked for, which are the
 * caller's, and front's number. `families`: as front wants them; 1 to CONTROL_FDS_MAX. */
bool front_link_seek(struct front_link *link, const char *families, struct control_message *got);

/* Of one that is HELD, when its descriptor is readable: it has ended (front-lost, logged). */
bool front_link_ended(struct front_link *link);

void front_link_close(struct front_link *link);
