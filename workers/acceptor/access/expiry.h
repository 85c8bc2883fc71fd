/* expiry.h — whose token expires when (Hop: C1). Who holds something for a bearer watches it here by number, and is told once when the
 * time has come.
 *
 * Expiry is wall time, and wall time may be set. So a node of the wheel, which goes by monotonic time, is due when the token expires
 * or after EXPIRY_LOOK_MS, whichever comes first, and looks at the wall clock again. Nothing of that is paid for a token that never
 * expires. One thread; no I/O.
 */
#pragma once

#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "map.h"
#include "wheel.h"

#define EXPIRY_LOOK_MS 60000u
#define EXPIRY_TICK_MS 100u
#define EXPIRY_AT_ONCE 1000u /* told in one sweep; the others in the next */

struct expiry {
    const struct clock *clock;
    struct wheel wheel;
    struct map by_number;
    void (*expired)(void *arg, void *what); /* may forget any */
    void *arg;
};

enum err_e expiry_init(struct expiry *expiry, const struct clock *clock,
                       void (*expired)(void *arg, void *what), void *arg); /* ERR_MEMORY */
void expiry_fini(struct expiry *expiry); /* whoever is still watched is forgotten */

/* From now until it is told of, or forgotten. `number` is not 0, and of nobody who is watched. ERR_MEMORY. */
enum err_e expiry_watch(struct expiry *expiry, uint64_t number, uint64_t expires_ms, void *what);
void expiry_forget(struct expiry *expiry, uint64_t number); /* also of nobody */

/* Tells of those whose time has come. Call a few times a second. */
void expiry_sweep(struct expiry *expiry);
