/* sim_answer.h — carries a control command out and writes its answer: "ok …" or "error TEXT", without line end.
 *
 * Used by the control socket and by scripts. WAIT is the one verb that is not answered at once: sim_answer() takes it
 * as a question about this moment, and the control socket asks again whenever the machine has changed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"
#include "machine.h"
#include "sim_command.h"
#include "sim_server.h"

/* Room for the longest answer: counts (256 codes of at most 24 characters, and the sums), or the list of all machines. */
#define SIM_ANSWER_MAX (8192u + SIM_PLCS_MAX * (MACHINE_ID_MAX + sizeof " =65535"))

void sim_answer(struct sim_server *server, const struct sim_command *command, struct out *out);

/* Is what a WAIT command waits for true now? */
bool sim_wait_met(const struct sim_plc *plc, const struct sim_command *command);
void sim_wait_state(const struct sim_plc *plc, struct out *out);  /* " position=N moving=0|1" */
void sim_wait_answer(const struct sim_plc *plc, struct out *out); /* "ok" and the above: at most 128 bytes */
