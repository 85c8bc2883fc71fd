/* sim_script.h — control commands from a file, executed on the clock: `at MS COMMAND`, one per line.
 *
 *     # the second PLC loses one reply, then reboots
 *     at 1000 fault machine_2 missing command 1 count 1
 *     at 5000 fault machine_2 reboot 2000
 *
 * MS counts from sim_script_start(). Lines may stand in any order; equal times run in the file's order. Empty lines and
 * lines beginning with # are skipped. The whole file is checked before anything runs; `wait` is refused, because a
 * script waits by its times. Answers go to the process log: "error …" as a warning, the others as information.
 */
#pragma once

#include "errcode.h"
#include "loop.h"
#include "sim_server.h"

#define SIM_SCRIPT_STEPS_MAX 10000

struct sim_script;

/* ERR_SYSTEM, ERR_MALFORMED, ERR_TOO_LARGE, ERR_NOT_FOUND (a machine that the server has not), logged with file and
 * line; ERR_MEMORY. */
enum err_e sim_script_load(const char *path, struct loop *loop, struct sim_server *server,
                           struct sim_script **script);
void sim_script_start(struct sim_script *script);
void sim_script_free(struct sim_script **script);
