/* up_reload.h — a reload (reload.h) of the family that `noria up` runs.
 *
 * Takes part as its listener; stops, starts and restarts agents and plc-sim afterwards. The configuration of the start stays with who made it, because
 * sockets and handlers, which no reload changes, point into it; later ones are kept here, one at a time.
 */
#pragma once

#include "family.h"
#include "reload.h"
#include "up_plan.h"

struct up_reload;

/* `plan`: its `conf` is in force, and is set to a new one at each reload. All but the configuration outlive it; free it before the
 * family. NULL: out of memory. */
struct up_reload *up_reload_new(struct loop *loop, struct family *family, struct up_plan *plan);
void up_reload_free(struct up_reload **up_reload);

/* For reload_begin(), reload_signal(), reload_forget(). */
struct reload *up_reload_transaction(struct up_reload *up_reload);
