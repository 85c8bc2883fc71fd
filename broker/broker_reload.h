/* broker_reload.h — another configuration, without a restart (Hops: D6, D7, C4).
 *
 *     prepare   all that can fail: memory, slots enough, machines and bridges of the next configuration, beside those in force
 *     commit    between two events of the loop:
 *                   machines and bridges are exchanged
 *                   commands under way of machines that are gone, or stand elsewhere now, are answered; their agents let go
 *                   machine_removed, machine_added, states that read otherwise (machine_set.h)
 *                   limits, profiles, agreement with the agents that stay
 *     abort     forgets what was prepared
 *
 * | of a machine             | its agent                                         | its commands                                             |
 * |--------------------------|---------------------------------------------------|----------------------------------------------------------|
 * | is removed               | REFUSED: it ends                                  | MACHINE_NOT_FOUND; handed over: OUTCOME_UNKNOWN          |
 * | its PLC's address changes| forgotten, and not answered until it knows better | CONNECTION_ERROR; handed over: OUTCOME_UNKNOWN           |
 * | profile, intervals, …    | stays until it is restarted                       | go on                                                    |
 *
 * An agent that makes way for another one says GOODBYE: for BROKER_HOLD_NS its machine is shown as before, and commands wait, so that a
 * reload which restarts a thousand agents is not told as a thousand lost machines. Whoever stays away for longer is disconnected.
 *
 * An append that fails within commit() (no room in the file system of shm/) ends the broker: the next one, which starts with the new
 * configuration, tells what was not told. Rejected: going on without; machines would be missing for clients until somebody looks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bridges.h"
#include "registry_next.h"

struct broker;

struct broker_reload { /* what is prepared; all zero: nothing */
    struct registry_next machines;
    struct bridges bridges;
    bool *used, *taken; /* for machine_set_change() */
};

/* What reloader.h asks for. prepare(): ERR_FULL (too many machines: `why` says so), ERR_MEMORY, ERR_EXISTS; then nothing is kept. */
enum err_e broker_reload_prepare(struct broker *broker, const struct conf *next, char *why, size_t why_size);
void broker_reload_commit(struct broker *broker,
                          struct conf *next);    /* takes it, and frees what was in force */
void broker_reload_abort(struct broker *broker); /* also if nothing is prepared */
