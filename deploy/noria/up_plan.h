/* up_plan.h — which processes a configuration asks for, and what to tell the user about them. */
#pragma once

#include "conf.h"
#include "errcode.h"
#include "family.h"
#include "launch_handlers.h"
#include "launch_sockets.h"

struct up_plan {
    const struct conf *conf;
    const struct launch_sockets *sockets;
    const struct launch_handlers *handlers;
    char *programs[FAMILY_STAGES]; /* paths; of FAMILY_HANDLER none: those are the configuration's */
};

/* Finds the programs in `bin_dir` (NULL: the directory of this program). ERR_NOT_FOUND (logged): one is missing. */
enum err_e up_plan_init(struct up_plan *plan, const struct conf *conf, const char *bin_dir);
void up_plan_fini(struct up_plan *plan);

/* Adds plc-sim (if a machine is simulated), the broker, an agent per machine, the handlers and the workers.
 * ERR_MEMORY. */
enum err_e up_plan_add(const struct up_plan *plan, struct family *family);

/* The same for one: the i-th of a stage (of agents: that of machine i). ERR_MEMORY; ERR_EXISTS, ERR_CLOSED: family_add(). */
enum err_e up_plan_add_member(const struct up_plan *plan, struct family *family, enum family_stage_e stage,
                              size_t i);
size_t up_plan_needed(const struct conf *conf, enum family_stage_e stage); /* how many a stage has */

/* Writes to standard output where to connect, which machines there are, and one line to try. */
void up_plan_announce(const struct up_plan *plan);
