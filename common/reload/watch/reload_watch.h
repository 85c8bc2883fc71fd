/* reload_watch.h — a reloader (reloader.h) on Noria's loop, for broker, store, agents and plc-sim.
 *
 *     control socket readable     reloader_read()     its end is the launcher's: no more is watched, and SIGTERM tells the process
 *     reloader_fd() readable      reloader_turn()     where options->threaded
 *     SIGHUP                      reloader_ask()
 *
 * A SIGHUP that main() held (reloader_hold_signal(true)) is let through here, once its handler is there.
 *
 * Rejected: the same in reloader.h, whose other user, the worker, runs on libuv and reads its control socket itself (DRAIN, ADOPT).
 */
#pragma once

#include "errcode.h"
#include "loop.h"
#include "reloader.h"

struct reload_watch;

/* Callbacks come out of the loop. `options->file` outlives it, as does the control descriptor; `now` is in force. ERR_MEMORY: out of
 * memory or descriptors, nothing is kept. */
enum err_e reload_watch_open(struct loop *loop, const struct reloader_options *options,
                             const struct conf *now, struct reload_watch **watch);
/* Before the loop and what the callbacks work on: waits for the thread, and calls abort() if something is prepared. NULL inside is
 * allowed. */
void reload_watch_close(struct reload_watch **watch);
