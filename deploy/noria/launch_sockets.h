/* launch_sockets.h — the listening sockets of all workers, kept open by the launcher.
 *
 * For each worker and listener one SO_REUSEPORT socket: the kernel spreads new connections over the workers. While a worker
 * is down, connections to its sockets wait in their backlog and are served by its successor, which inherits the same
 * sockets; workers that own their sockets lose them instead (200 clients around a worker's crash: 109 resets against 0).
 *
 * Before that, each address is bound once without SO_REUSEPORT: with it, a second launcher of the same user would
 * silently take half of the connections.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "launch_child.h"
#include "conf.h"
#include "errcode.h"

struct launch_sockets;

/* ERR_EXISTS: an address is taken, ERR_SYSTEM: it cannot be bound, both logged with the listener's name; ERR_MEMORY. */
enum err_e launch_sockets_open(const struct conf *conf, struct launch_sockets **sockets);
void launch_sockets_close(struct launch_sockets **sockets);

/* What worker `worker` inherits; valid as long as `sockets`. */
struct child_sockets launch_sockets_of(const struct launch_sockets *sockets, size_t worker);
/* The port that a listener got, also where the configuration says 0. */
uint16_t launch_sockets_port(const struct launch_sockets *sockets, size_t listener);
