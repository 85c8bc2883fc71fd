/* sim_link.h — a scenario's line to plc-sim: control commands, and what its log says about when it answered. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "rig.h"

/* One command on the control socket (sim_command.h), with its answer; ERR_MISMATCH (logged) if that is an error. */
enum err_e sim_link_command(const struct rig *rig, const char *command);

/* When a machine's answer first said a new state: the times of the first `tx` of each run of equal answers, and of the
 * `rx` that it answered. The log stamps a tx after the kernel has taken it, when the agent may already be running: the
 * true moment lies between the two. */
struct sim_change {
    uint64_t rx_ns, tx_ns;
    uint8_t raw, position;
};
/* Status requests in RUNTIME_DIR/sim.log from `*offset` on, in order; `*offset` then stands behind what was read. `each` may
 * be NULL. Requests of machines that the rig does not have, or from `machines` on, are passed over. */
typedef void sim_poll_f(void *arg, uint64_t ns, uint32_t machine);
void sim_link_polls(const struct rig *rig, uint32_t machines, long *offset, sim_poll_f *each, void *arg);

/* Reads RUNTIME_DIR/sim.log; returns how many changes of machine `index` were stored (at most `max`). */
size_t sim_link_changes(const struct rig *rig, uint32_t index, struct sim_change *changes, size_t max);
