/* front_hold.h — `noria front`: makes the sockets of the workers of a Compose installation, in the network that has the published ports.
 *
 *     container front ── network: published ports; front/front.sock (common/proc/front.h, the protocol)
 *        ├─ container worker_1   no network; connected to front/front.sock, listens on sockets that were made here
 *        └─ container worker_2   …
 *
 * An engine gives a network to a container, and takes it away with it; workers come, go and are scaled, and the ports must stay. So it belongs to a
 * program that does next to nothing: it reads no configuration, keeps no socket that it made, remembers of a connection only whether it was served, and ends on
 * SIGTERM or SIGINT. Nothing that a connection says or does ends it: who is no worker of its own uid is hung up on, and so is who says nothing for
 * FRONT_PATIENCE_NS; without descriptors it refuses, and without any for accept() it looks again every FRONT_PAUSE_NS. Rejected: a worker as
 * the holder (its death would take all the others' network).
 */
#pragma once

#include <stddef.h>

#include "errcode.h"
#include "loop.h"

#define FRONT_WORKERS_MAX 1024
#define FRONT_PAUSE_NS    (100 * NS_PER_MS)

struct front;

/* Serves at the socket `path` on the loop. One that a front left which was killed is replaced; ERR_EXISTS: somebody serves there. ERR_SYSTEM, ERR_MEMORY.
 * All logged. */
enum err_e front_open(struct loop *loop, const char *path, struct front **out);
size_t front_count(const struct front *front); /* connections */
void front_close(struct front **front);        /* all of them end */

/* The program: until a signal ends it (ERR_OK), or front_open()'s error. */
enum err_e front_hold(const char *path);
