/* store_reload.h — the store takes a new configuration over while it runs (reloader.h): its limits, and what machines' bytes mean.
 *
 * From the launcher by its control socket, or by SIGHUP where there is none. What the database is checked with holds at the next start; all else of
 * `store` from now on. A machine whose profile has another content is compared with the last-value table anew.
 */
#pragma once

#include "store.h"

struct store_reload;

/* *conf is in force and store->conf; a reload replaces both, and frees what was there. It stays the caller's, as does `control`
 * (control_inherited()). SIGHUP is let through from here on (reloader_hold_signal()). ERR_MEMORY. */
enum err_e store_reload_open(struct store *store, struct conf **conf, int control,
                             struct store_reload **reload);
void store_reload_close(struct store_reload **reload);
