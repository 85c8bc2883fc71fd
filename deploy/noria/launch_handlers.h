/* launch_handlers.h — the listening sockets of handlers' processes, made and kept open by the launcher.
 *
 *     RUNTIME_DIR/handlers/NAME.K     process K of the handler NAME, mode 0660 in a directory of mode 0750
 *
 * While a process is away, workers that connect wait in its socket's backlog and are served by its successor, which gets the
 * same socket: as with the workers' own (launch_sockets.h). Handlers behind a `socket` have none here.
 */
#pragma once

#include "launch_child.h"
#include "conf.h"
#include "errcode.h"

struct launch_handlers;

/* RUNTIME_DIR/handlers is there (rundir.h); a file that has the name is replaced. ERR_SYSTEM (logged); ERR_MEMORY. */
enum err_e launch_handlers_open(const struct conf *conf, struct launch_handlers **handlers);
void launch_handlers_close(struct launch_handlers **handlers); /* the files are rundir's to remove */

/* How many processes there are, over all handlers with a command. */
size_t launch_handlers_count(const struct conf *conf);

/* Process `i` of them: which handler's, and the how manieth of it. */
const struct conf_handler *launch_handlers_at(const struct conf *conf, size_t i, uint32_t *k);

/* What process `i` inherits; valid as long as `handlers`. */
struct child_sockets launch_handlers_of(const struct launch_handlers *handlers, size_t i);
