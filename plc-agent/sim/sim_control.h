/* sim_control.h — the control socket of plc-sim: a Unix stream socket, one command per line, one line per answer.
 *
 * Up to SIM_CLIENTS_MAX clients at once, each answered in the order of its lines. While a client's `wait` is open its
 * further lines stay unexecuted; other clients go on. A client that closes only its sending half gets all its answers.
 * A line that is too long, or is no command, is answered "error …" and the connection goes on.
 */
#pragma once

#include "errcode.h"
#include "loop.h"
#include "sim_server.h"

#define SIM_CLIENTS_MAX 64

struct sim_control;

/* Opens the socket at `path`, mode by the umask. A socket left behind by a
 * dead process is replaced; ERR_EXISTS: a live one, or another kind of file. ERR_TOO_LARGE: the path. ERR_SYSTEM,
 * ERR_MEMORY. All but the last are logged. Becomes the server's observer. */
enum err_e sim_control_open(struct loop *loop, struct sim_server *server, const char *path,
                            struct sim_control **control);
/* PLCs were taken away (sim_server.h): whoever waits for one of them is answered "error …". */
void sim_control_machines_went(struct sim_control *control);
void sim_control_close(struct sim_control **control); /* removes the socket, if it is still its own */
